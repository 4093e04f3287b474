import { defineErrors } from '../errors.ts';

/** Errors of saving the state of a run and of going on from it. */
export const failure = defineErrors({
  CHECKPOINT_DIFFERS: {
    fact: 'The checkpoint {folder} is of another run: {differences}.',
    consequence: 'Going on from it would be neither that run nor this one, so nothing was trained.',
    remedy: 'Give this run what that one had, or start anew without --resume.',
  },
  CHECKPOINT_MID_STEP: {
    fact: 'saveState() was called in the middle of step {step}.',
    consequence: 'Parts of a step cannot be gone on from, so nothing was saved.',
    remedy: 'Call it in the hooks betweenSteps or trainEnd.',
  },
  CHECKPOINT_PART: {
    fact: 'What the plugin {plugin} left in the checkpoint cannot be read: {reason}.',
    consequence: 'It would go on as if it had seen nothing of the run, so nothing was trained.',
    remedy: 'Resume with the release that wrote the checkpoint, or start anew without --resume.',
  },
  CHECKPOINT_TENSOR: {
    fact: 'The plugin state {part} has a tensor "{tensor}" of the type {dtype}.',
    consequence: 'It cannot be saved, so the checkpoint was not written.',
    remedy: 'Save float32 or int32 tensors, and everything else in `json`.',
  },
  CHECKPOINT_TORN: {
    fact: '{folder} is no whole checkpoint: {reason}.',
    consequence: 'It cannot be trusted, so nothing was trained.',
    remedy: 'Name another one, or give --resume without a folder: it takes the newest whole one.',
  },
});

import { defineErrors } from 'mooring';

export const failure = defineErrors({
  CHECKPOINT_NO_OUTPUT: {
    fact: 'The run names no output folder.',
    consequence: 'There is no place for its checkpoints.',
    remedy: 'Set `output`, or leave the plugin checkpoint out.',
  },
  CHECKPOINT_BEST_UNKNOWN: {
    fact: 'keepBest is to judge by {figure}, which {reason}.',
    consequence: 'The best checkpoint could not be told.',
    remedy: 'Set evalData and train.evalEverySteps, and name one of: {known}.',
  },
});

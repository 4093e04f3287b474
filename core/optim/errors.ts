import { defineErrors } from '../errors.ts';

/** Errors of the optimizer. */
export const failure = defineErrors({
  OPTIMIZER_STATE: {
    fact: 'The saved state of the optimizer does not fit: {reason}.',
    consequence: 'It was not loaded, and going on would not continue the same run.',
    remedy: 'Resume with the model, plugins and version that the checkpoint was saved with.',
  },
});

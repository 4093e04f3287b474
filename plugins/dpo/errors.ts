import { defineErrors } from 'mooring';

export const failure = defineErrors({
  LOSS_WEIGHTS_LENGTH: {
    fact: 'dpo has {types} loss types and {weights} loss weights.',
    consequence: 'Each loss needs its own weight.',
    remedy: 'Give as many lossWeights as there are names in lossType, or none for 1 each.',
  },
  LABEL_SMOOTHING_TOO_LARGE: {
    fact: 'labelSmoothing is {labelSmoothing}, and the robust loss divides by 1 - 2 * labelSmoothing.',
    consequence: 'From 0.5 on it would prefer the rejected completions.',
    remedy: 'Give a labelSmoothing below 0.5, the share of preferences that are wrong; 0.1 is usual.',
  },
  LABEL_SMOOTHING_MISSING: {
    fact: 'labelSmoothing is 0, and the exo_pair loss takes its logarithm.',
    consequence: 'The loss would be infinite.',
    remedy: 'Give a labelSmoothing above 0 and below 1; the paper uses 1e-3.',
  },
  WEIGHTING_WITH_SORTING: {
    fact: 'useWeighting is set, and the loss {lossType} sorts the rows of a batch.',
    consequence: 'The weight of a pair would fall on other pairs.',
    remedy: 'Leave useWeighting out, or choose a loss that does not sort.',
  },
});

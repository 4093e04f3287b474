import { defineErrors } from 'mooring';

export const failure = defineErrors({
  ADVISE_NOT_A_DECODER: {
    fact: 'The model {description} does not tell the sizes of a decoder.',
    consequence: 'Its memory cannot be predicted.',
    remedy:
      'Have the plugin that provides the model fill in `sizes`, or measure: `summary.json` has `peakTensorBytes`.',
  },
  ADVISE_OVER_BUDGET: {
    fact: 'Each process of this run would hold {needed} ({parts}), and `advise.memory` gives it {memory}.',
    consequence: 'No weights were read and nothing was trained.',
    remedy: 'What would fit: {fitting}. `mooring advise` says which plugins each takes.',
  },
  ADVISE_SEQUENCE_UNEVEN: {
    fact: 'A sequence of {time} tokens has no room for {completion} tokens of completion and a prompt.',
    consequence: 'Nothing was predicted.',
    remedy: 'Give --completion a number below --time.',
  },
});

import { defineErrors } from 'mooring';

export const failure = defineErrors({
  KL_OPTION_UNREAD: {
    fact: 'kl-penalty was given {option}, which the estimator {estimator} does not read.',
    consequence: 'The run would not train on what the option says.',
    remedy: 'Leave {option} out, or choose {instead}.',
  },
  KL_K1_TEACHES_NOTHING: {
    fact: 'kl-penalty was asked to train on k1, whose own gradient does not depend on the reference.',
    consequence: 'It would make the tokens of the data less likely, however near the reference the policy is.',
    remedy: 'Set `gradient: unbiased`, choose k2 or k3, or leave estimator out for the exact KL.',
  },
});

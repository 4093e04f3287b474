import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import type { LossInputs } from 'mooring';
import { createDpoObjective } from '../../../plugins/dpo/objective.ts';
import { checkCombination, lossTypes, optionsSchema } from '../../../plugins/dpo/options.ts';
import { batchOf, inputsOf } from './support.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Options = Parameters<typeof optionsSchema.parse>[0] & object;
const objectiveOf = (options: Options = {}) => createDpoObjective(optionsSchema.parse(options));

/** The loss as the core makes it: each term divided by its count. */
function lossOf(options: Options, inputs: LossInputs): tf.Tensor {
  const terms = objectiveOf(options).terms(inputs);
  return terms.map(({ sum, per }) => tf.div(sum, inputs.batch.counts[per] as number)).reduce((a, b) => tf.add(a, b));
}

const lossValue = (options: Options, inputs: LossInputs) => lossOf(options, inputs).dataSync()[0] as number;

function gradientOf(options: Options, inputs: LossInputs & { policy: tf.Tensor }): number[] {
  const { grads } = tf.engine().gradients(() => lossOf(options, inputs), [inputs.policy], undefined, true);
  return Array.from(grads[0]?.dataSync() ?? []);
}

// Two pairs: chosen completions of 2 and 1 tokens, rejected of 3 and 2, tokens in this order.
const batch = batchOf([2, 1], [3, 2]);
const policy = [-1, -0.5, -2, /* rejected */ -1.5, -0.25, -0.75, -3, -1];
const reference = [-1.5, -0.75, -1, /* rejected */ -1, -0.5, -0.25, -2.5, -2];
const inputs = (beta = 0.5) => inputsOf(batch, { policy, reference }, { beta });

describe('the loss', () => {
  it('is taken over whole completions', () => {
    // log-ratios of chosen: 0.5 + 0.25 = 0.75, -1; of rejected: -0.5 + 0.25 - 0.5 = -0.75, -0.5 + 1 = 0.5
    // d = 1.5, -1.5; at beta 0.5: (log(1 + e^-0.75) + log(1 + e^0.75)) / 2 = (0.386871 + 1.136871) / 2
    expect(lossValue({}, inputs())).toBeCloseTo(0.761871, 5);
  });

  it('reads beta as it stands in the step', () => {
    // at beta 2: (log(1 + e^-3) + log(1 + e^3)) / 2 = (0.048587 + 3.048587) / 2
    expect(lossValue({ beta: 0.5 }, inputs(2))).toBeCloseTo(1.548587, 5);
  });

  it('is the sum of several, each with its weight and its own divisor', () => {
    // hinge: (1 - 0.75) and (1 + 0.75), mean 1; sft: (1 + 0.5 + 2) / 3 chosen tokens
    const options = { lossType: ['sigmoid', 'hinge', 'sft'], lossWeights: [2, 0.5, 3] } as const;
    const mixed = { lossType: [...options.lossType], lossWeights: [...options.lossWeights] };
    expect(lossValue(mixed, inputs())).toBeCloseTo(2 * 0.761871 + 0.5 * 1 + 3 * (3.5 / 3), 5);
    expect(
      objectiveOf(mixed)
        .terms(inputs())
        .map(({ name, per }) => [name, per]),
    ).toEqual([
      ['sigmoid', 'row'],
      ['hinge', 'row'],
      ['sft', 'chosenToken'],
    ]);
  });

  it('says which losses depend on the rows that come together', () => {
    const coupled = lossTypes.filter((lossType) => {
      const [term] = objectiveOf({ lossType, labelSmoothing: 0.1 }).terms(inputs());
      return term?.couplesRows;
    });
    expect(coupled).toEqual(['aot', 'aot_unpaired']);
  });

  it('counts the tokens that only the longer completion has by ldAlpha', () => {
    // LD-DPO at 0.5: chosen are shorter, so 0.75 and -1 stay; rejected -0.5 + 0.25 + 0.5 * -0.5 = -0.5, -0.5 + 0.5 * 1 = 0
    // d = 1.25, -1: (log(1 + e^-0.625) + log(1 + e^0.5)) / 2 = (0.428701 + 0.974077) / 2
    expect(lossValue({ ldAlpha: 0.5 }, inputs())).toBeCloseTo(0.701389, 5);
    expect(lossValue({ ldAlpha: 1 }, inputs())).toBeCloseTo(lossValue({}, inputs()), 6);
  });

  it('weighs pairs by how likely the policy finds them', () => {
    // WPO: means of log p - log sum p^2 over each completion; the collision is -1 for every token
    // chosen: (-0.75 + 1), (-2 + 1); rejected: (-2.5/3 + 1), (-2 + 1); weights e^(0.25 + 0.166667), e^-2
    const weighted = inputsOf(batch, { policy, reference }, { collision: policy.map(() => -1) });
    const [first, second] = [Math.exp(0.25 + 1 / 6), Math.exp(-2)];
    expect(lossValue({ useWeighting: true }, weighted)).toBeCloseTo((first * 0.386871 + second * 1.136871) / 2, 5);
    // sft keeps its own divisor and gets the mean weight
    const sft = { lossType: 'sft', useWeighting: true } as const;
    expect(lossValue(sft, weighted)).toBeCloseTo((3.5 / 3) * ((first + second) / 2), 5);
  });

  it('treats the weights of WPO as constants', () => {
    const weighted = inputsOf(batch, { policy, reference }, { collision: policy.map(() => -1) });
    const plain = gradientOf({}, inputs());
    const weights = [Math.exp(0.25 + 1 / 6), Math.exp(-2)];
    const expected = plain.map(
      (gradient, token) => gradient * (weights[[0, 0, 1, 0, 0, 0, 1, 1][token] as number] as number),
    );
    expect(gradientOf({ useWeighting: true }, weighted)).toEqual(expected.map((value) => expect.closeTo(value, 5)));
  });

  it('adds up over micro-batches to that of one large batch', () => {
    const sums = (lossType: (typeof lossTypes)[number], all: LossInputs[]) =>
      all.reduce((total, each) => {
        const [term] = objectiveOf({ lossType, labelSmoothing: 0.1 }).terms(each);
        return total + ((term?.sum.dataSync()[0] as number) ?? 0);
      }, 0);
    const parts = [
      inputsOf(batchOf([2], [3]), {
        policy: [-1, -0.5, -1.5, -0.25, -0.75],
        reference: [-1.5, -0.75, -1, -0.5, -0.25],
      }),
      inputsOf(batchOf([1], [2]), { policy: [-2, -3, -1], reference: [-1, -2.5, -2] }),
    ];
    for (const lossType of lossTypes) {
      if (lossType.startsWith('aot')) continue;
      expect(sums(lossType, parts)).toBeCloseTo(sums(lossType, [inputs()]), 5);
    }
  });
});

describe('the gradient', () => {
  const everyLoss: Options[] = lossTypes.map((lossType) => ({ lossType, labelSmoothing: 0.1 }));
  const others: Options[] = [
    { fDivergenceType: 'forward_kl' },
    { fDivergenceType: 'js_divergence' },
    { fDivergenceType: 'alpha_divergence', fAlphaDivergenceCoef: 0.5 },
    { ldAlpha: 0.3 },
    { lossType: ['sigmoid', 'bco_pair', 'sft'], lossWeights: [0.8, 0.2, 1] },
  ];

  it.each([...everyLoss, ...others])('agrees with finite differences: %j', (options) => {
    // Central differences of float32 values around 1: the error is about 1e-7 / h + h^2, least near h = 5e-3.
    const h = 5e-3;
    const shifted = (token: number, by: number) => policy.map((logp, at) => (at === token ? logp + by : logp));
    const at = (moved: number[]) => lossValue(options, inputsOf(batch, { policy: moved, reference }));
    gradientOf(options, inputs()).forEach((gradient, token) => {
      const difference = (at(shifted(token, h)) - at(shifted(token, -h))) / (2 * h);
      expect(Math.abs(gradient - difference)).toBeLessThan(3e-4 * Math.max(1, Math.abs(difference)));
    });
  });

  it('of a step away from the reference raises the chosen and lowers the rejected', () => {
    const same = inputsOf(batch, { policy: reference, reference });
    // at d = 0 the gradient of -log s(beta d) by each token's logp is -beta / 2 for chosen, beta / 2 for rejected, over 2 pairs
    expect(gradientOf({}, same)).toEqual([...Array(3).fill(-0.125), ...Array(5).fill(0.125)]);
  });
});

describe('the metrics', () => {
  const read = (of: LossInputs, options: Options = {}) => {
    const metrics = objectiveOf(options).metrics?.(of) ?? {};
    const entries = Object.entries(metrics).map(([name, { value, weight }]) => {
      return [name, { value: typeof value === 'number' ? value : (value.dataSync()[0] as number), weight }] as const;
    });
    return Object.fromEntries(entries);
  };

  it("are TRL's, each with the weight of what it is a mean of", () => {
    const figures = inputsOf(
      batch,
      { policy, reference },
      { entropy: [8, 0, 0, 0, 0, 0, 0, 8], logits: [3, 0, 0, 0, 0, 0, 0, 10], correct: [1, 0, 1, 0, 0, 0, 0, 1] },
    );
    expect(read(figures)).toEqual({
      'rewards/chosen': { value: (0.375 - 0.5) / 2, weight: 2 },
      'rewards/rejected': { value: (-0.375 + 0.25) / 2, weight: 2 },
      'rewards/accuracies': { value: 0.5, weight: 2 },
      'rewards/margins': { value: 0, weight: 2 },
      'logps/chosen': { value: -1.75, weight: 2 },
      'logps/rejected': { value: -3.25, weight: 2 },
      'logits/chosen': { value: 1, weight: 3 },
      'logits/rejected': { value: 2, weight: 5 },
      entropy: { value: 2, weight: 8 },
      mean_token_accuracy: { value: expect.closeTo(2 / 3, 6), weight: 3 },
      num_tokens: { value: 12, weight: undefined },
    });
  });

  it('count a tie as wrong', () => {
    expect(read(inputsOf(batch, { policy: reference, reference }))['rewards/accuracies']?.value).toBe(0);
  });

  it('turn around when chosen and rejected are exchanged', () => {
    const logp = fc.float({ min: -8, max: Math.fround(-0.01), noNaN: true });
    const four = fc.array(logp, { minLength: 4, maxLength: 4 });
    const exchanged = (values: number[]) => [...values.slice(2), ...values.slice(0, 2)];
    fc.assert(
      fc.property(four, four, (ours, theirs) => {
        const pair = batchOf([2], [2]);
        const straight = read(inputsOf(pair, { policy: ours, reference: theirs }));
        const around = read(inputsOf(pair, { policy: exchanged(ours), reference: exchanged(theirs) }));
        expect(around['rewards/margins']?.value).toBeCloseTo(-(straight['rewards/margins']?.value ?? 0), 5);
        expect(around['rewards/chosen']?.value).toBe(straight['rewards/rejected']?.value);
        expect(around['logps/chosen']?.value).toBe(straight['logps/rejected']?.value);
      }),
    );
  });

  it('keep a small log-ratio of long completions', () => {
    // each token differs by 1e-4: as sums of about -4000 the difference of 0.1 would be off by float32's 2.4e-4 steps
    const long = batchOf([1000], [1000]);
    const base = Array.from({ length: 2000 }, (_, at) => -4 - (at % 7) / 10);
    const moved = base.map((value) => value + 1e-4);
    const precise = moved.reduce(
      (sum, value, at) => sum + (at < 1000 ? Math.fround(value) - Math.fround(base[at] as number) : 0),
      0,
    );
    const { value } = read(inputsOf(long, { policy: moved, reference: base }, { beta: 1 }))['rewards/chosen'] ?? {};
    expect(value).toBeCloseTo(precise, 5);
  });
});

describe('passes', () => {
  it('score the policy with all figures and the reference with log-probabilities only', () => {
    expect(objectiveOf().passes(batch)).toEqual([
      { key: 'policy', of: 'policy', rows: batch.rows, outputs: ['logps', 'entropy', 'logits', 'correct'] },
      { key: 'reference', of: 'reference', rows: batch.rows, outputs: ['logps'] },
    ]);
    expect(objectiveOf({ useWeighting: true }).passes(batch)[0]?.outputs).toContain('collision');
  });

  it('leave no tensor behind', () => {
    const given = inputs();
    const before = tf.memory().numTensors;
    for (const lossType of lossTypes) tf.tidy(() => void gradientOf({ lossType, labelSmoothing: 0.1 }, given));
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('options', () => {
  it.each<[code: string, options: Options]>([
    ['LOSS_WEIGHTS_LENGTH', { lossType: ['sigmoid', 'sft'], lossWeights: [1] }],
    ['LABEL_SMOOTHING_TOO_LARGE', { lossType: 'robust', labelSmoothing: 0.5 }],
    ['LABEL_SMOOTHING_MISSING', { lossType: 'exo_pair' }],
    ['WEIGHTING_WITH_SORTING', { lossType: ['sigmoid', 'aot'], useWeighting: true }],
  ])('that contradict one another are refused with %s', (code, options) => {
    expect(() => checkCombination(optionsSchema.parse(options))).toThrow(expect.objectContaining({ code }));
  });

  it('without effect are remarked on', () => {
    expect(checkCombination(optionsSchema.parse({ labelSmoothing: 0.1 }))).toMatch(/no effect/);
    expect(checkCombination(optionsSchema.parse({ lossType: 'aot', labelSmoothing: 0.1 }))).toBeUndefined();
  });

  it("have TRL's defaults", () => {
    expect(optionsSchema.parse({})).toEqual({
      lossType: ['sigmoid'],
      beta: 0.1,
      labelSmoothing: 0,
      fDivergenceType: 'reverse_kl',
      fAlphaDivergenceCoef: 0.5,
      useWeighting: false,
      discopopTau: 0.05,
    });
  });
});

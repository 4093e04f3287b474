import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import {
  type LossInputs,
  type OutputGradients,
  type PreferenceBatch,
  packBranches,
  packRows,
  type Rows,
  rowsOf,
  type Sequence,
} from 'mooring';
import { padRows } from '../../../core/blocks/pad-rows.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { createDpoObjective } from '../../../plugins/dpo/objective.ts';
import { optionsSchema } from '../../../plugins/dpo/options.ts';
import { fixture, type Opened, passOf, withModel } from './support.ts';

// gpt2 learns its positions, the others rotate; mistral has windows of 8 only, qwen2-window of 6 and none; all but gpt2 group their queries
const names = ['gpt2', 'mistral', 'qwen2', 'qwen2-window'];
const engines = readInstalled() === undefined ? (['wasm'] as const) : (['wasm', 'native'] as const);

const tokens = (minLength: number, maxLength: number) => fc.array(fc.nat(95), { minLength, maxLength });
const completed = (prompt: readonly number[], completion: readonly number[]): Sequence => ({
  ids: [...prompt, ...completion],
  completionStart: prompt.length,
});

/** Sides of pairs; where a side has context of its own, as truncation leaves it, less than the prompt is shared. */
const sides = fc
  .array(
    fc.record({
      prompt: tokens(0, 14),
      own: fc.constantFrom(0, 0, 1, 2),
      chosen: tokens(1, 8),
      rejected: tokens(1, 8),
    }),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((pairs): [Sequence[], Sequence[]] => [
    pairs.map(({ prompt, chosen }) => completed(prompt, chosen)),
    pairs.map(({ prompt, own, rejected }) => completed(prompt.slice(own), rejected)),
  ]);

const least = fc.record({ trunk: fc.nat(18), branch: fc.nat(10) });

function leftPadded(sequences: readonly Sequence[]): Rows {
  const time = Math.max(...sequences.map(({ ids }) => ids.length));
  const padded = (of: (sequence: Sequence) => readonly number[]) =>
    Int32Array.from(sequences.flatMap((each) => [...new Array<number>(time - each.ids.length).fill(0), ...of(each)]));
  return rowsOf({
    batch: sequences.length,
    time,
    ids: padded(({ ids }) => Array.from(ids)),
    mask: padded(({ ids }) => Array.from(ids, () => 1)),
    scored: padded(({ ids, completionStart }) => Array.from(ids, (_, at) => (at < completionStart ? 0 : 1))),
  });
}

/** Log-probabilities of the targets, the DPO loss against a reference that is always the same, and the gradients of it. */
async function learnFrom({ driver, store }: Opened, rows: Rows) {
  const pass = passOf(rows, ['logps'], true);
  const policy = await driver.forward(pass);
  const logps = policy.logps as tf.Tensor;
  const reference = { logps: tf.tidy(() => tf.sin(tf.range(0, logps.size))) };
  const pairs = rows.sequences / 2;
  const batch: PreferenceBatch = {
    kind: 'preference',
    position: 0,
    origin: 'test',
    pairs,
    counts: { row: pairs, token: logps.size },
    rows,
  };
  const inputs: LossInputs = { batch, outputs: { policy, reference }, settings: { learningRate: 0, beta: 0.1 } };
  const objective = createDpoObjective(optionsSchema.parse({}));
  const loss = () => tf.div<tf.Scalar>(objective.terms(inputs)[0]?.sum as tf.Tensor, pairs);
  const { value, gradients } = driver.differentiate(inputs.outputs, ['policy'], loss);
  await driver.backward(pass, gradients.policy as OutputGradients);
  const figures: Record<string, Float32Array> = {
    logps: (await logps.data()) as Float32Array,
    loss: (await value.data()) as Float32Array,
  };
  for (const name of store.gradients.names) {
    const gradient = store.gradients.read(name);
    figures[name] = (await gradient.data()) as Float32Array;
    gradient.dispose();
  }
  store.gradients.clear();
  tf.dispose([logps, reference.logps, value]);
  driver.release();
  return figures;
}

/** The names of figures that differ by more than 1e-5, or that part of the largest. */
function differing(actual: Record<string, Float32Array>, wanted: Record<string, Float32Array>): string[] {
  expect(Object.keys(actual)).toEqual(Object.keys(wanted));
  return Object.entries(actual).flatMap(([name, values]) => {
    const others = wanted[name] as Float32Array;
    const bound = 1e-5 * others.reduce((largest, each) => Math.max(largest, Math.abs(each)), 1);
    const isFar =
      values.length !== others.length || values.some((each, at) => !(Math.abs(each - (others[at] as number)) <= bound));
    return isFar ? [name] : [];
  });
}

describe.each(engines)('on %s, prompts computed once', (engine) => {
  it.each(names)('give the losses and gradients of prompts computed for each completion: %s', async (name) => {
    await withModel(fixture(name), engine, async (opened) => {
      await fc.assert(
        fc.asyncProperty(sides, least, async (branches, lengths) => {
          const apart = packRows(branches.flat());
          fc.pre(apart.targets.label.length > 0);
          const shared = await learnFrom(opened, padRows(packBranches(branches), lengths));
          expect(differing(shared, await learnFrom(opened, apart))).toEqual([]);
          expect(differing(shared, await learnFrom(opened, leftPadded(branches.flat())))).toEqual([]);
        }),
        { numRuns: 20 },
      );
    });
  });
});

it('any number of completions may share a prompt', async () => {
  const group = fc.tuple(tokens(1, 9), fc.array(tokens(1, 6), { minLength: 4, maxLength: 4 }));
  await withModel(fixture('qwen2-window'), 'cpu', async (opened) => {
    await fc.assert(
      fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 2 }), async (groups) => {
        const branches = [0, 1, 2, 3].map((at) =>
          groups.map(([prompt, completions]) => completed(prompt, completions[at] as number[])),
        );
        const shared = await learnFrom(opened, packBranches(branches));
        expect(differing(shared, await learnFrom(opened, packRows(branches.flat())))).toEqual([]);
      }),
      { numRuns: 5 },
    );
  });
});

it('trunks may be padded on the left', async () => {
  const branches = [
    [completed([1, 2, 3], [4, 5]), completed([6], [7, 8])],
    [completed([1, 2, 3], [9]), completed([6], [10, 11, 12])],
  ];
  const right = packBranches(branches);
  // the second row's [ 6 - - | ... ] becomes [ - - 6 | ... ]
  const moved = (values: Int32Array) => {
    const { time } = right;
    const other = values.slice();
    [other[time], other[time + 2]] = [values[time + 2] as number, values[time] as number];
    return other;
  };
  const source = right.targets.source.map((at) => (at === right.time ? at + 2 : at));
  const left = { ...right, ids: moved(right.ids), mask: moved(right.mask), targets: { ...right.targets, source } };
  await withModel(fixture('mistral'), 'cpu', async (opened) => {
    expect(differing(await learnFrom(opened, left), await learnFrom(opened, right))).toEqual([]);
  });
});

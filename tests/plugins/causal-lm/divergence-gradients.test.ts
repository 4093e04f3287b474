import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  createTrainer,
  Driver,
  type OutputGradients,
  ParameterStore,
  type Pass,
  type Prediction,
  packRows,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { tokenFigures } from '../../../plugins/causal-lm/primitives/log-probabilities.ts';
import { fixture } from './support.ts';

const names = ['logps', 'kl', 'referenceKl', 'jensenShannon'] as const;
type Name = (typeof names)[number];

const rows = packRows([
  { ids: [5, 6, 7, 8, 9, 10, 11], completionStart: 3 },
  { ids: [12, 13, 14, 15], completionStart: 1 },
]);
const longer = packRows([
  { ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], completionStart: 2 },
  { ids: [1, 2], completionStart: 1 },
]);
const count = rows.targets.label.length;

/** How much each output of each token counts in the loss. */
const weights: Record<Name, number[]> = Object.fromEntries(
  names.map((name, at) => [name, Array.from({ length: count }, (_, token) => Math.cos(token + 2 * at))]),
) as Record<Name, number[]>;

interface Learned {
  readonly outputs: Record<string, number[]>;
  readonly gradients: Record<string, number[]>;
}

type Mode = { readonly engine: 'native' | 'wasm' | 'cpu'; readonly compile: 'on' | 'off' };

/** Outputs and parameter gradients of a pass whose loss weighs some outputs; `change` moves the weights before. */
async function learn(
  mode: Mode,
  differentiated: readonly Name[],
  options: {
    readonly frozen?: RegExp;
    readonly change?: (store: ParameterStore) => void;
    readonly folder?: string;
  } = {},
): Promise<Learned> {
  const warned: string[] = [];
  const log = { debug() {}, info() {}, error() {}, warn: (_: object, message: string) => void warned.push(message) };
  const trainer = createTrainer({ model: fixture(options.folder ?? 'qwen2'), train: mode }, { log }).use(causalLm());
  const learned = await trainer.withServices({ driver: Driver, store: ParameterStore }, async ({ driver, store }) => {
    for (const name of store.names) if (options.frozen?.test(name)) store.setTrainable(name, false);
    const own = { key: 'reference', rows, view: 'policy', gradient: false, outputs: ['states', 'headWeight'] } as const;
    const { states, headWeight } = (await driver.forward(own)) as Prediction;
    const reference = { states: tf.tidy(() => tf.mul(states, 1.2)), headWeight };
    options.change?.(store);
    await driver.prepare?.({ steps: 1, sample: async () => [[longer]] }); // so that rows are padded
    const pass: Pass = {
      ...{ key: 'policy', rows, view: 'policy', gradient: true, reference },
      outputs: [...names, 'entropy'],
      differentiated,
    };
    const outputs = await driver.forward(pass);
    tf.dispose([states, reference.states, headWeight]);
    const given = differentiated.map((name) => [name, tf.tensor1d(weights[name])]);
    await driver.backward(pass, Object.fromEntries(given) as OutputGradients);
    driver.release();
    const gradients = store.gradients.names.map((name) => [name, store.gradients.read(name)] as const);
    const read = (entries: readonly (readonly [string, tf.Tensor])[]) =>
      Object.fromEntries(entries.map(([name, tensor]) => [name, Array.from(tensor.dataSync())]));
    return { outputs: read(Object.entries(outputs)), gradients: read(gradients) };
  });
  expect(warned).toEqual([]); // else blocks ran eagerly
  return learned;
}

function expectSame(ours: Learned, theirs: Learned): void {
  for (const part of ['outputs', 'gradients'] as const) {
    expect(Object.keys(ours[part]).sort()).toEqual(Object.keys(theirs[part]).sort());
    const off = Object.entries(theirs[part]).filter(([name, wanted]) => {
      const bound = 2e-5 * wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      return !wanted.every((value, at) => Math.abs(value - (ours[part][name]?.[at] as number)) <= bound);
    });
    expect(off.map(([name]) => name)).toEqual([]);
  }
}

const lossOf = ({ outputs }: Learned, of: readonly Name[]) =>
  of.reduce(
    (sum, name) => sum + weights[name].reduce((part, weight, at) => part + weight * (outputs[name]?.[at] as number), 0),
    0,
  );

describe('a loss over log-probabilities and divergences', () => {
  const modes: Mode[] = [
    { engine: 'cpu', compile: 'off' },
    ...(readInstalled() === undefined
      ? []
      : [
          { engine: 'native' as const, compile: 'off' as const },
          { engine: 'native' as const, compile: 'on' as const },
        ]),
  ];
  test.each(modes)('has the gradients of the wasm engine on $engine, compile $compile', async (mode) => {
    const wasm = await learn({ engine: 'wasm', compile: 'off' }, names);
    expectSame(await learn(mode, names), wasm);
  });

  test('trains a model whose head is frozen, and one whose head is its own', async () => {
    const eager = { engine: 'wasm', compile: 'off' } as const;
    const [whole, frozen] = [
      await learn(eager, names, { folder: 'llama' }),
      await learn(eager, names, { folder: 'llama', frozen: /lm_head/ }),
    ];
    expect(Object.keys(whole.gradients)).toContain('lm_head.weight');
    const { 'lm_head.weight': _, ...rest } = whole.gradients;
    expectSame(frozen, { ...whole, gradients: rest });
  });

  test.each(names.map((name) => [name]))('changes along the gradient of %s as that says', async (name) => {
    const eager = { engine: 'wasm', compile: 'off' } as const;
    const { gradients } = await learn(eager, [name]);
    const parameter = 'model.layers.1.mlp.down_proj.weight';
    const along = gradients[parameter] as number[];
    const norm = Math.hypot(...along);
    const moved = async (by: number) => {
      const change = (store: ParameterStore) => {
        const before = store.read(parameter, 'policy');
        store.write(
          parameter,
          'policy',
          tf.tidy(() =>
            tf.add(
              before,
              tf.tensor(
                along.map((each) => (each / norm) * by),
                before.shape,
              ),
            ),
          ),
        );
        before.dispose();
      };
      return lossOf(await learn(eager, [name], { change }), [name]);
    };
    const step = 2e-2;
    expect(((await moved(step)) - (await moved(-step))) / (2 * step) / norm).toBeCloseTo(1, 2);
  });

  test('is the sum of its parts', async () => {
    const eager = { engine: 'wasm', compile: 'off' } as const;
    const all = await learn(eager, names);
    const parts: Learned[] = [];
    for (const name of names) parts.push(await learn(eager, [name]));
    const sums = Object.entries(all.gradients).map(([name, wanted]) => {
      const sum = (at: number) => parts.reduce((total, part) => total + (part.gradients[name]?.[at] ?? 0), 0);
      return [name, wanted.map((_, at) => sum(at))] as const;
    });
    expectSame({ ...all, gradients: Object.fromEntries(sums) }, all);
  });
});

test('a reference with another vocabulary is refused', async () => {
  const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'cpu' } }).use(causalLm());
  await trainer.withServices({ driver: Driver }, async ({ driver }) => {
    const reference = { states: tf.zeros([count, 4]), headWeight: tf.zeros([7, 4]) };
    const pass: Pass = { key: 'policy', rows, view: 'policy', gradient: false, outputs: ['kl'], reference };
    await expect(driver.forward(pass)).rejects.toMatchObject({
      code: 'KL_VOCABULARIES',
      message: expect.stringContaining('The policy predicts 384 words, and the reference 7.'),
    });
  });
});

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;
ifInstalled('in several chunks', () => {
  beforeAll(async () => {
    await openEngine('native');
  });

  test('figures and gradients make nothing of the size of all logits', async () => {
    const [tokens, vocabulary, width] = [300, 2 ** 15, 3]; // two chunks
    const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
    const [hidden, weight, label] = [
      normal([tokens, width], 1),
      normal([vocabulary, width], 2),
      tf.zeros([tokens], 'int32'),
    ];
    const reference = { hidden: normal([tokens, width], 3), weight: normal([vocabulary, width], 4) };
    const { kernels } = await tf.profile(() => {
      const purpose = { names, needsValue: true, differentiated: names, isWeightFrozen: false };
      const loss = () => {
        const figures = tokenFigures({ hidden, weight, label, reference }, purpose);
        return tf.concat(names.map((name) => figures[name] as tf.Tensor));
      };
      const { value, grads } = tf.engine().gradients(loss, [hidden, weight], tf.ones([names.length * tokens]));
      tf.dispose([value, ...grads]);
      return tf.scalar(0);
    });
    const sizes = kernels.flatMap(({ outputShapes }) => outputShapes.map((shape) => tf.util.sizeFromShape(shape)));
    expect(Math.max(...sizes)).toBeGreaterThan(2 ** 22);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2 ** 23);
  });
});

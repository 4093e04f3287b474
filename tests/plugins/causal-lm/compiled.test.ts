import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  createTrainer,
  Driver,
  type DropoutKey,
  definePlugin,
  Engine,
  type Log,
  ParameterStore,
  type Pass,
  type Plugin,
  packRows,
  type Rows,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { watch } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { dropping, fixture, fixtureNames } from './support.ts';

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

type Mode = { readonly compile: 'on' | 'off'; readonly recompute?: 'none' | 'block' };
type Figures = Record<string, number[]>;

const outputNames = ['logps', 'entropy', 'logits', 'correct', 'collision'] as const;
const rows = packRows([
  { ids: [5, 6, 7, 8, 9, 10, 11], completionStart: 3 },
  { ids: [12, 13, 14, 15], completionStart: 1 },
]);

/** Every output and gradient of one pass for each dropout key, and what was warned of. */
async function passes(
  folder: string,
  mode: Mode,
  options: {
    readonly rows?: Rows;
    /** Other rows to come, whose shape is the one that all are padded to. */
    readonly sample?: Rows;
    readonly frozen?: RegExp;
    readonly keys?: readonly (DropoutKey | undefined)[];
  } = {},
): Promise<{ steps: Figures[]; warned: string[] }> {
  const warned: string[] = [];
  const log: Log = { debug() {}, info() {}, error() {}, warn: (_, message) => void warned.push(message) };
  const trainer = createTrainer({ model: folder, train: { engine: 'native', ...mode } }, { log }).use(causalLm());
  const steps = await trainer.withServices({ driver: Driver, store: ParameterStore }, async ({ driver, store }) => {
    for (const name of store.names) if (options.frozen?.test(name)) store.setTrainable(name, false);
    const steps: Figures[] = [];
    const given = options.rows ?? rows;
    let isCompiling = false;
    const sample = async () => {
      isCompiling = true;
      return [[options.sample ?? given]];
    };
    await driver.prepare?.({ steps: 1, sample });
    expect(isCompiling).toBe(mode.compile === 'on');
    for (const dropout of options.keys ?? [undefined]) {
      const pass: Pass = { key: 'policy', rows: given, view: 'policy', gradient: true, outputs: outputNames, dropout };
      const outputs = await driver.forward(pass);
      const count = given.targets.label.length;
      await driver.backward(pass, { logps: count === 0 ? tf.zeros([0]) : tf.linspace(-1, 1.3, count) });
      driver.release();
      const gradients = store.gradients.names.map((name) => [name, store.gradients.read(name)] as const);
      steps.push(read({ ...outputs, ...Object.fromEntries(gradients) }));
      store.gradients.clear();
    }
    return steps;
  });
  return { steps, warned };
}

function read(tensors: Readonly<Record<string, tf.Tensor>>): Figures {
  const values = (tensor: tf.Tensor) => Array.from(tensor.dataSync());
  const figures = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, values(tensor)]));
  tf.dispose(Object.values(tensors));
  return figures;
}

/** The figures agree to 1e-5 of 1, or of the largest of their tensor. */
function expectSame(ours: readonly Figures[], theirs: readonly Figures[]): void {
  expect(ours.map((step) => Object.keys(step).sort())).toEqual(theirs.map((step) => Object.keys(step).sort()));
  const off = theirs.flatMap((step, at) =>
    Object.entries(step).flatMap(([name, wanted]) => {
      const found = ours[at]?.[name] as number[];
      const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const isFar = (value: number, index: number) => !(Math.abs(value - (found[index] as number)) <= 1e-5 * scale);
      return found.length !== wanted.length || wanted.some(isFar) ? [`${at} ${name}`] : [];
    }),
  );
  expect(off).toEqual([]);
}

ifInstalled('compiled, a decoder computes what it computes eagerly:', () => {
  const families = fixtureNames.filter((name) => name !== 'llama-bf16-sharded');
  test.each(families)('%s, figures and gradients', async (name) => {
    const eager = await passes(fixture(name), { compile: 'off' });
    const compiled = await passes(fixture(name), { compile: 'on' });
    expectSame(compiled.steps, eager.steps);
    expect(compiled.warned).toEqual([]);
  });

  test.each(['gpt2', 'qwen2-window'])('%s, recomputing what the backward pass needs', async (name) => {
    const compiled = await passes(fixture(name), { compile: 'on', recompute: 'block' });
    expectSame(compiled.steps, (await passes(fixture(name), { compile: 'off' })).steps);
  });

  test.each([
    [/embed|layers\.0/, 'none'],
    [/lm_head|norm/, 'block'],
    [/q_proj|up_proj|layers\.2/, 'none'],
  ] as const)('with some parameters frozen: %s, recompute %s', async (frozen, recompute) => {
    const compiled = await passes(fixture('qwen3'), { compile: 'on', recompute }, { frozen });
    expectSame(compiled.steps, (await passes(fixture('qwen3'), { compile: 'off' }, { frozen })).steps);
    expect(compiled.warned).toEqual([]);
  });

  test.each([
    ['gpt2', 'block'],
    ['qwen2', 'none'],
  ] as const)('%s with dropout, whose masks change from step to step: recompute %s', async (name, recompute) => {
    const folder = dropping(name);
    const keys = [1, 2, 1].map((step) => ({ seed: 3, step }));
    const { steps, warned } = await passes(folder, { compile: 'on', recompute }, { keys });
    expectSame(steps, (await passes(folder, { compile: 'off' }, { keys })).steps);
    expect(steps[1]?.logps).not.toEqual(steps[0]?.logps);
    expectSame([steps[2] as Figures], [steps[0] as Figures]);
    expect(warned).toEqual([]);
  });

  test.each(['gpt2', 'qwen2-window'])('%s, in a batch that is padded, with dropout', async (name) => {
    const ids = Array.from({ length: 10 }, (_, at) => at + 5);
    const sample = packRows([1, 2, 3].map(() => ({ ids, completionStart: 1 })));
    const options = { sample, keys: [{ seed: 3, step: 1 }] };
    const compiled = await passes(dropping(name), { compile: 'on' }, options);
    expectSame(compiled.steps, (await passes(dropping(name), { compile: 'off' }, options)).steps);
    expect(compiled.warned).toEqual([]);
  });

  test('rows of which no token is scored', async () => {
    const options = { rows: packRows([{ ids: [5], completionStart: 1 }]) };
    const compiled = await passes(fixture('qwen2'), { compile: 'on' }, options);
    expectSame(compiled.steps, (await passes(fixture('qwen2'), { compile: 'off' }, options)).steps);
  });
});

ifInstalled('a compiled run of DPO', () => {
  /** Trains on one pair, over and over, so that nothing but live values and weights changes between steps. */
  async function train(mode: Mode, plugins: readonly Plugin[], settings: { steps: number; disableDropout?: boolean }) {
    const folder = dropping('gpt2');
    const data = path.join(folder, 'pairs.jsonl');
    writeFileSync(data, JSON.stringify({ prompt: 'the sky is', chosen: ' blue today', rejected: ' made of cheese' }));
    const steps: Figures[] = [];
    let gradients: Figures = {};
    const observer = definePlugin({
      name: 'observer',
      apiVersion: 1,
      apply({ hooks }) {
        hooks.gradientsReady.tap((seen) => {
          gradients = read(Object.fromEntries(seen.gradients.names.map((name) => [name, seen.gradients.read(name)])));
        });
        hooks.stepEnd.tap(({ record }) => {
          const figures = Object.entries(record).map(([name, value]) => [name, [value]]);
          steps.push({ ...gradients, ...Object.fromEntries(figures) });
        });
      },
    });
    const warned: string[] = [];
    const log: Log = { debug() {}, info() {}, error() {}, warn: (_, message) => void warned.push(message) };
    const fixed = { learningRate: 1e-3, schedule: 'constant', batchSize: 1, engine: 'native' } as const;
    await createTrainer({ model: folder, data, train: { ...fixed, ...settings, ...mode } }, { log })
      .use(causalLm(), tokenizer(), preferenceData(), dpo(), refClone(), ...plugins, observer())
      .train();
    expect(warned).toEqual([]); // else blocks ran eagerly
    return steps;
  }

  /** Changes the learning rate and beta from step to step. */
  const live = definePlugin({
    name: 'live',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.settings.tap((settings, { step }) => ({
        ...settings,
        learningRate: 1e-3 * step.index,
        beta: 0.2 * step.index,
      }));
    },
  });

  test('drops out by the masks of each step, as the eager one', async () => {
    const settings = { steps: 3, disableDropout: false };
    expectSame(await train({ compile: 'on' }, [], settings), await train({ compile: 'off' }, [], settings));
  });

  test('follows live values that change between steps, as the eager one', async () => {
    const compiled = await train({ compile: 'on' }, [live()], { steps: 3 });
    expectSame(compiled, await train({ compile: 'off' }, [live()], { steps: 3 }));
    expect(compiled.map((step) => step.learning_rate?.[0])).toEqual(
      [1e-3, 2e-3, 3e-3].map((rate) => expect.closeTo(rate, 9)),
    );
    const [first, , third] = compiled.map((step) => step['rewards/chosen']?.[0]);
    expect(first).toBeCloseTo(0, 5);
    expect(third).not.toBeCloseTo(0, 3);
  });

  test('calls the hooks between blocks at every step, with the visits of the eager one', async () => {
    const visitsOf = async (mode: Mode) => {
      const { plugin, calls } = watch();
      const pure = { ...plugin, definition: { ...plugin.definition, capturable: true } };
      await train(mode, [pure], { steps: 3 });
      const between = ['beforeForward', 'afterForward', 'beforeBackward', 'afterBackward', 'stepEnd'];
      return calls
        .filter(({ hook }) => between.includes(hook))
        .map(({ hook, args }) => {
          if (hook === 'stepEnd') return hook;
          const { block, pass, next } = args[0] as { block: { name: string }; pass: Pass; next?: { name: string } };
          return `${hook} ${pass.key} ${block.name} ${next?.name}`;
        });
    };
    const visits = await visitsOf({ compile: 'on' });
    expect(visits).toEqual(await visitsOf({ compile: 'off' }));
    const [first = '', second, third] = visits.join('\n').split('stepEnd');
    expect(second).toMatch(/beforeForward policy embedding layer 0.*afterBackward policy embedding undefined/s);
    expect(third).toBe(second);
    expect(first.length).toBeGreaterThan((second ?? '').length); // it checks the reference, too
  });

  test.each(['none', 'block'] as const)(
    'holds no tensor more after six steps than after two: recompute %s',
    async (recompute) => {
      const counts: object[] = [];
      const counter = definePlugin({
        name: 'counter',
        apiVersion: 1,
        uses: { engine: Engine },
        apply({ hooks, services }) {
          hooks.stepEnd.tap(() => void counts.push(services.engine.memory()));
        },
      });
      await train({ compile: 'on', recompute }, [counter()], { steps: 6, disableDropout: false });
      expect(counts[5]).toEqual(counts[1]);
    },
  );
});

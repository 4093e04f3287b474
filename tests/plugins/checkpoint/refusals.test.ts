import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Model, ParameterStore, type Plugin, Reference } from 'mooring';
import { toy, toyRun } from 'mooring/testing';
import { parseState, stateFile } from '../../../core/checkpoint/state-file.ts';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { failureOf, plugin } from '../../core/support.ts';
import { folder } from './support.ts';

const saver = checkpoint({ everySteps: 1, keepLast: 9 });
const usual = () => [refClone(), syncRefModel({ everySteps: 2 }), saver];
let whole: string;

beforeAll(async () => {
  whole = folder();
  await toyRun(usual(), { steps: 3, schedule: 'linear' }, whole).trainer.train();
});

const recomputed = plugin('recomputed', ({ decorate }) => {
  decorate(Model, { uses: {}, create: (model) => ({ ...model, computation: 'another' }) });
});

const at = (step: number, output = whole) => path.join(output, 'checkpoints', `step-${step}`);

describe('a checkpoint of another run is refused by field', () => {
  const differing: readonly [string, RegExp, () => readonly Plugin[], Parameters<typeof toyRun>[1]][] = [
    ['setting', /train\.learningRate was 0\.1 and is 0\.2/, usual, { learningRate: 0.2 }],
    ['seed', /train\.seed was 42 and is 7/, usual, { seed: 7 }],
    ['number of steps where the schedule depends on it', /steps was 3 and is 5/, usual, { steps: 5 }],
    [
      'plugin',
      /plugins was \["toy","ref-clone","sync-ref-model"\] and is \["toy","ref-clone"\]/,
      () => [refClone(), saver],
      {},
    ],
    [
      'computation over the same weights, as of another rope',
      /computation was not said and is another/,
      () => [...usual(), recomputed],
      {},
    ],
    [
      "plugin's option",
      /sync-ref-model\.everySteps was 2 and is 3/,
      () => [refClone(), syncRefModel({ everySteps: 3 }), saver],
      {},
    ],
  ];
  test.each(differing)('another %s', async (_, expected, plugins, train) => {
    const { trainer } = toyRun(plugins(), { steps: 3, schedule: 'linear', ...train }, folder());
    const error = await failureOf(() => trainer.train({ resume: at(2) }));
    expect(error.code).toBe('CHECKPOINT_DIFFERS');
    expect(error.message).toMatch(expected);
  });

  test('other weights, by what the reference and the frozen parameters are', async () => {
    // not one that a run file would name: it stands for a model folder that was changed
    const changed = (scale: number, isFrozen: boolean): Plugin =>
      plugin(
        'changed',
        ({ hooks, services, decorate }) => {
          decorate(Model, {
            uses: {},
            create: (model) => ({
              ...model,
              async *load() {
                for await (const [name, value] of model.load()) yield [name, tf.mul(value, scale)] as const;
              },
            }),
          });
          hooks.modelReady.tap(() => services.store.setTrainable('embedding.weight', !isFrozen));
        },
        { store: ParameterStore },
      );
    const messageOf = async (reference: readonly Plugin[], isFrozen: boolean) => {
      const output = folder();
      const run = (scale: number) => toyRun([changed(scale, isFrozen), ...reference, saver], { steps: 2 }, output);
      await run(1).trainer.train();
      return (await failureOf(() => run(2).trainer.train({ resume: true }))).message;
    };
    expect(await messageOf([refClone()], false)).toMatch(/reference\.fingerprint was \w+ and is \w+/);
    expect(await messageOf([], true)).toMatch(/frozen parameters was \w+ and is \w+/);
  });

  test('other data', async () => {
    const output = folder();
    const run = (rows: number) => {
      const { trainer } = toyRun([saver], { steps: 2 }, output);
      return trainer.remove('toy').use(toy({ rows }));
    };
    await run(2).train();
    expect((await failureOf(() => run(3).train({ resume: true }))).message).toMatch(/data was toy-3-2 and is toy-3-3/);
  });
});

test('what changes no figure may differ', async () => {
  const watching = plugin('watching', () => undefined);
  const observer = { ...watching, definition: { ...watching.definition, preservesTraining: true } };
  const { trainer } = toyRun(
    [refClone(), syncRefModel({ everySteps: 2 }), observer, checkpoint({ keepLast: 1 })],
    { steps: 3, schedule: 'linear', evalEverySteps: 2, saveDtype: 'bfloat16' },
    folder(),
  );
  expect((await trainer.train({ resume: at(2) })).steps).toBe(3);
});

describe('a checkpoint that is not whole', () => {
  const tears: readonly [string, (checkpoint: string) => void, RegExp][] = [
    ['lacks its manifest', (file) => rmSync(path.join(file, 'manifest.json')), /no manifest/],
    ['has an empty manifest', (file) => truncateSync(path.join(file, 'manifest.json')), /not one of a checkpoint/],
    ['lacks a file', (file) => rmSync(path.join(file, 'optimizer.safetensors')), /optimizer.safetensors is missing/],
    ['is cut short', (file) => truncateSync(path.join(file, 'policy.safetensors'), 100), /has 100 bytes instead of/],
    ['is longer', (file) => appendFileSync(path.join(file, 'state.json'), ' '), /state.json has/],
    ['has a changed byte', flip, /content of policy.safetensors has changed/],
  ];
  test.each(tears)(
    'and %s is passed over with a warning that names it, and refused by name',
    async (_, tear, reason) => {
      const output = folder();
      cpSync(path.join(whole, 'checkpoints'), path.join(output, 'checkpoints'), { recursive: true });
      tear(at(3, output));
      const train = { steps: 3, schedule: 'linear' } as const;
      const error = await failureOf(() => toyRun(usual(), train, output).trainer.train({ resume: at(3, output) }));
      expect([error.code, error.message]).toEqual(['CHECKPOINT_TORN', expect.stringMatching(reason)]);
      const { trainer, logged } = toyRun(usual(), train, output);
      await trainer.train({ resume: true });
      const messages = logged.map(({ message }) => message);
      expect(messages).toContainEqual(expect.stringMatching(/step-3 is passed over/));
      expect(messages).toContainEqual(expect.stringMatching(/resumed after step 2/));
    },
  );

  test('leaves a run that has no other to start at its beginning, and that is said', async () => {
    const output = folder();
    mkdirSync(path.join(output, 'checkpoints', 'step-5'), { recursive: true });
    const { trainer, logged } = toyRun([saver], { steps: 1 }, output);
    expect((await trainer.train({ resume: true })).steps).toBe(1);
    expect(logged.map(({ message }) => message).join('\n')).toMatch(/no whole checkpoint, so the run starts/);
  });
});

function flip(checkpoint: string): void {
  const file = path.join(checkpoint, 'policy.safetensors');
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
  writeFileSync(file, bytes);
}

test('a reference that anybody provides is saved where it moved, without doing anything for it', async () => {
  const own = (): Plugin =>
    plugin('own', ({ provide, hooks }) => {
      let value = tf.keep(tf.tensor1d([1, 2]));
      provide(Reference, {
        uses: {},
        create: () => ({
          kind: 'reload',
          bytesResident: () => 8,
          fingerprint: async () => String(value.dataSync()),
          score: async ({ rows }) => ({ logps: tf.zeros([rows.targets.label.length]) }),
          parameters: {
            names: ['memory'],
            read: () => tf.clone(value),
            write(_, next) {
              value.dispose();
              value = tf.keep(next as tf.Tensor1D);
            },
          },
        }),
      });
      hooks.stepEnd.tap(() => {
        const next = tf.mul<tf.Tensor1D>(value, 3);
        value.dispose();
        value = tf.keep(next);
      });
      hooks.trainEnd.tap(() => void ends.push(Array.from(value.dataSync())));
    });
  const ends: number[][] = [];
  const output = folder();
  await toyRun([own(), saver], { steps: 2 }, output).trainer.train();
  expect(readdirSync(at(2, output))).toContain('reference.safetensors');
  await toyRun([own(), saver], { steps: 3 }, output).trainer.train({ resume: true });
  expect(ends).toEqual([
    [9, 18],
    [27, 54],
  ]);
});

test('the form of another release is refused by that, whatever else it has', async () => {
  const output = folder();
  await toyRun([saver], { steps: 1 }, output).trainer.train();
  const file = path.join(at(1, output), 'state.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), format: 3, later: true }));
  const error = await failureOf(async () =>
    parseState(readFileSync(path.join(at(1, output), stateFile), 'utf8'), at(1, output)),
  );
  expect([error.code, error.message]).toEqual(['CHECKPOINT_DIFFERS', expect.stringMatching(/format was 3 and is 2/)]);
});

test('what was trained, copied into the reference and frozen since then is in the reference that is resumed', async () => {
  const output = folder();
  const freezing = () =>
    plugin(
      'freezing',
      ({ hooks, services }) =>
        hooks.stepEnd.tap(({ step }) => {
          if (step.index === 2) services.store.setTrainable('embedding.weight', false);
        }),
      { store: ParameterStore },
    );
  const plugins = () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 1 }), freezing(), saver];
  const run = (steps: number) => toyRun(plugins(), { steps, schedule: 'constant' }, output).trainer;
  await run(3).train();
  expect((await run(4).train({ resume: true })).steps).toBe(4);
});

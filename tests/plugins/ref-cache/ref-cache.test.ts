import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  DataSource,
  EvaluationData,
  Objective,
  type OutputName,
  type Outputs,
  ParameterStore,
  type Plugin,
  packRows,
  Reference,
  type StepRecord,
  type TextBatch,
} from 'mooring';
import { toyRun } from 'mooring/testing';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { refCache } from '../../../plugins/ref-cache/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { failureOf, plugin } from '../../core/support.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-ref-cache-'));
afterAll(() => rmSync(root, { recursive: true }));
const folder = () => mkdtempSync(path.join(root, 'cache-'));

/** Scores the reference too, and logs what it says. */
const comparing = (asked: readonly OutputName[] = ['logps'], ofPolicy: readonly OutputName[] = []) =>
  plugin('comparing', ({ decorate }) =>
    decorate(Objective, {
      uses: {},
      create: (inner) => ({
        ...inner,
        passes(batch) {
          const { rows } = batch as TextBatch;
          const policy = inner.passes(batch).map((pass) => ({ ...pass, outputs: [...pass.outputs, ...ofPolicy] }));
          return [...policy, { key: 'reference', of: 'reference', rows, outputs: asked }];
        },
        metrics: ({ outputs }) => ({
          'logps/ref': { value: tf.mean(outputs.reference?.logps as tf.Tensor), reduce: 'mean' },
        }),
      }),
    }),
  );

interface Seen {
  readonly records: StepRecord[];
  /** Passes that the reference beneath had to compute. */
  scored: number;
  /** Bytes of the reference after each step. */
  readonly bytes: number[];
  readonly logged: { readonly message: string; readonly details: object }[];
}

/** Trains the toy with the given plugins after its objective; what is `beneath` provides the reference, if any does. */
async function train(
  beneath: readonly Plugin[],
  over: readonly Plugin[],
  settings: Parameters<typeof toyRun>[1] = {},
): Promise<Seen> {
  const records: StepRecord[] = [];
  const bytes: number[] = [];
  const count = { scored: 0 };
  const counting = plugin('counting', ({ decorate }) =>
    decorate(Reference, {
      uses: {},
      create: (inner) => ({
        ...inner,
        score(pass) {
          count.scored++;
          return inner.score(pass);
        },
      }),
    }),
  );
  const looking = plugin(
    'looking',
    ({ hooks, services }) => {
      hooks.stepEnd.tap(({ record }) => {
        records.push(record);
        bytes.push(services.reference.bytesResident());
      });
    },
    { reference: Reference },
  );
  const { trainer, logged } = toyRun([comparing(), ...beneath, counting, ...over, looking], { steps: 7, ...settings });
  await trainer.train();
  return { records, bytes, logged, ...count };
}

const expectSame = (records: readonly StepRecord[], expected: readonly StepRecord[]) => {
  expect(records).toHaveLength(expected.length);
  records.forEach((record, step) => {
    for (const [name, value] of Object.entries(expected[step] as StepRecord))
      expect(record[name]).toBeCloseTo(value, 5);
  });
};

describe('a cached reference', () => {
  it('gives the figures of the reference beneath, computed once, which then takes no memory', async () => {
    const plain = await train([refClone()], []);
    const directory = folder();
    const ahead = await train([refClone()], [refCache({ directory })]);
    expectSame(ahead.records, plain.records);
    // three batches, and the row that is shown at step 0
    expect(ahead.scored).toBe(3 + 1);
    expect(plain.bytes.at(-1)).toBeGreaterThan(0);
    expect(ahead.bytes).toEqual(Array(7).fill(0));
    const again = await train([refClone()], [refCache({ directory })]);
    expectSame(again.records, plain.records);
    expect(again.scored).toBe(0);
    expect(readdirSync(directory).filter((name) => name.endsWith('.segment'))).toHaveLength(1);
  });

  it('is the policy that training starts from where nobody provides one', async () => {
    const plain = await train([refClone()], []);
    for (const compute of ['ahead', 'as-they-come'] as const) {
      const alone = await train([], [refCache({ directory: folder(), compute })]);
      expectSame(alone.records, plain.records);
    }
  });

  it('computes batches as they come, and each once', async () => {
    const plain = await train([refClone()], []);
    const come = await train([refClone()], [refCache({ directory: folder(), compute: 'as-they-come' })]);
    expectSame(come.records, plain.records);
    expect(come.scored).toBe(3 + 1);
  });

  it('goes on where a shorter run ended', async () => {
    const directory = folder();
    const first = await train([refClone()], [refCache({ directory })], { steps: 1 });
    expect(first.scored).toBe(1 + 1);
    const second = await train([refClone()], [refCache({ directory })]);
    expect(second.scored).toBe(2);
  });

  it('knows what evaluation needs as well', async () => {
    const others = plugin('others', ({ decorate }) =>
      decorate(EvaluationData, {
        uses: {},
        create: (inner) =>
          inner && {
            ...inner,
            async *open(position) {
              for await (const batch of inner.open(position)) {
                const rows = packRows([{ ids: [7, batch.position, 7], completionStart: 1 }]);
                yield { ...batch, counts: { row: 1, token: 2 }, rows } as TextBatch;
              }
            },
          },
      }),
    );
    const directory = folder();
    const { scored } = await train([refClone()], [refCache({ directory }), others], { evalEverySteps: 1 });
    // three batches of training, three of evaluation, and the row that is shown at step 0
    expect(scored).toBe(3 + 3 + 1);
  });

  it('says what it is over, with the fingerprint of that', async () => {
    const { logged } = await train([refClone()], [refCache({ directory: folder() })]);
    const beneath = await train([refClone()], []);
    const shown = ({ logged }: Pick<Seen, 'logged'>) =>
      logged.filter(({ message }) => message.startsWith('reference: ')) as { message: string; details: object }[];
    expect(shown({ logged })).toEqual([
      {
        ...shown(beneath)[0],
        message: expect.stringMatching(/^reference: cached over clone [0-9a-f]{12}, KL at step 0 is 0/),
        details: { ...shown(beneath)[0]?.details, kind: 'cached', over: 'clone' },
      },
    ]);
  });

  it('is not mixed with what another reference, or other data, says', async () => {
    const directory = folder();
    await train([refClone()], [refCache({ directory })]);
    const seed = await failureOf(() => train([refClone()], [refCache({ directory })], { seed: 7 }));
    expect(seed.code).toBe('REF_CACHE_STALE');
    expect(seed.message).toMatch(/weights is [0-9a-f]{64} there and [0-9a-f]{64} here/);
    const other = plugin('other', ({ decorate }) =>
      decorate(DataSource, {
        uses: {},
        create: (inner) => ({ ...inner, identity: { data: 'other', maxLength: '8' } }),
      }),
    );
    const data = await failureOf(() => train([refClone()], [refCache({ directory }), other]));
    expect(data.message).toContain('data is toy-3-2 there and other here; maxLength is not said there and 8 here');
  });

  it('refuses a manifest that is none', async () => {
    const directory = folder();
    for (const text of ['{', '[]', '{"weights": 3}']) {
      writeFileSync(path.join(directory, 'manifest.json'), text);
      const { code } = await failureOf(() => train([refClone()], [refCache({ directory })]));
      expect(code).toBe('REF_CACHE_MANIFEST');
      expect(readFileSync(path.join(directory, 'manifest.json'), 'utf8')).toBe(text);
    }
  });

  it('needs a folder to be one', async () => {
    const file = path.join(folder(), 'pairs.jsonl');
    writeFileSync(file, '');
    const { code } = await failureOf(() => train([refClone()], [refCache({ directory: file })]));
    expect(code).toBe('REF_CACHE_MANIFEST');
  });

  it('is of the policy that training started from, also in a run that resumes and has lost it', async () => {
    const run = async (output: string, resume: boolean, stopAfter?: number) => {
      const said: (number | undefined)[] = [];
      const look = plugin('look', ({ hooks }) => {
        hooks.stepEnd.tap(({ step, record }) => {
          said.push(record['logps/ref']);
          if (step.index === stopAfter) trainer.requestStop('far enough');
        });
      });
      const { trainer } = toyRun([comparing(), refCache(), checkpoint({ everySteps: 1 }), look], { steps: 5 }, output);
      await trainer.train({ resume });
      return said;
    };
    const whole = await run(folder(), false);
    const output = folder();
    const before = await run(output, false, 2);
    rmSync(path.join(output, 'reference-cache'), { recursive: true });
    expect([...before, ...(await run(output, true))]).toEqual(whole);
  });

  it('needs a folder, and writes into the output if none is named', async () => {
    expect((await failureOf(() => train([refClone()], [refCache()]))).code).toBe('REF_CACHE_NO_DIRECTORY');
    const output = folder();
    await toyRun([comparing(), refClone(), refCache()], { steps: 1 }, output).trainer.train();
    expect(readdirSync(path.join(output, 'reference-cache'))).toContain('manifest.json');
  });

  it('has no answer to batches that were not there before, and says what to do', async () => {
    const changing = plugin('changing', ({ hooks }) => {
      hooks.batch.tap((batch, { position }) => {
        const rows = packRows([{ ids: [position % 8, 1, 1, 1], completionStart: 1 }]);
        return { ...batch, counts: { row: 1, token: 3 }, rows } as TextBatch;
      });
    });
    const late = await failureOf(() => train([refClone()], [refCache({ directory: folder() }), changing]));
    expect(late.code).toBe('REF_CACHE_MISS');
    expect(late.message).toContain('as-they-come');
    await train([refClone()], [refCache({ directory: folder(), compute: 'as-they-come' }), changing]);
  });

  it('holds figures of tokens, and refuses the exact KL, which needs a model', async () => {
    const { trainer, logged } = toyRun([comparing(['logps'], ['kl']), refClone(), refCache({ directory: folder() })]);
    const { code, message } = await failureOf(() => trainer.train());
    // before all the data was scored for nothing
    expect(logged.filter(({ message }) => message.includes('scored'))).toEqual([]);
    expect(code).toBe('KL_UNCOMPARED');
    expect(message).toContain('cached');
  });

  it('keeps each output by itself', async () => {
    const asked: (readonly OutputName[])[] = [];
    const directory = folder();
    const both = plugin('both', ({ provide }) =>
      provide(Reference, {
        uses: { store: ParameterStore },
        create: () => ({
          kind: 'reload',
          fingerprint: async () => 'two',
          bytesResident: () => 0,
          async score({ outputs, rows }) {
            asked.push(outputs);
            const values = (name: string, at: number) => [name, tf.fill([rows.targets.label.length], at)] as const;
            return Object.fromEntries(outputs.map((name, at) => values(name, at + 1))) as Outputs;
          },
        }),
      }),
    );
    const seen: number[][] = [];
    const look = plugin('look', ({ hooks }) => {
      hooks.metrics.tap(({ outputs: { reference } }) => {
        seen.push(
          [reference?.logps, reference?.entropy].flatMap((tensor) => (tensor ? [tensor.dataSync()[0] as number] : [])),
        );
        return {};
      });
    });
    const run = (outputs: readonly OutputName[]) =>
      toyRun([comparing(outputs), both, refCache({ directory }), look], { steps: 1 }).trainer.train();
    await run(['logps']);
    await run(['logps', 'entropy']);
    await run(['logps', 'entropy']);
    expect(seen).toEqual([[1], [1, 2], [1, 2]]);
    expect(asked.slice(-1)).toEqual([['logps', 'entropy']]);
  });

  it('does not stand beside a reference that moves', async () => {
    const { trainer } = toyRun([comparing(), refClone(), refCache({ directory: folder() }), syncRefModel()]);
    const { code, message } = await failureOf(() => trainer.train());
    expect(code).toBe('PLUGIN_CONFLICT');
    expect(message).toContain('A cache keeps what the reference said once');
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { runFile, workplace } from './support.ts';

const { folder, mooring, write } = workplace();
const file = (...names: string[]) => path.join(folder, ...names);
const jsonLines = (name: string) =>
  readFileSync(file(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

test('a run file trains, and leaves figures, a summary and a model', async () => {
  write(
    'watch.ts',
    "import { definePlugin } from 'mooring';\nexport const watch = definePlugin({ name: 'watch', apiVersion: 1, apply({ hooks, log }) {\n  hooks.stepEnd.tap(({ step }) => log.info({}, 'seen ' + step.index));\n} });\n",
  );
  write(
    'full.yaml',
    `${runFile}  - ./watch.ts\n`
      .replace('data:', 'evalData: pairs.jsonl\ndata:')
      .replace('steps: 3', 'steps: 3\n  evalEverySteps: 3'),
  );
  const { code, out, err } = await mooring(['train', 'full.yaml', '--output', 'full']);
  expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('seen 3') });
  expect(err).toMatch(/reference: clone [0-9a-f]{12}, KL at step 0 is 0/);
  expect(err).toMatch(/step 3\/3 {2}loss [\d.]+ {2}margin [\d.]+ {2}accuracy [\d.]+ {2}\d+ tokens\/s {2}0:00 left/);
  expect(out).toMatch(/^Trained 3 steps in [\d.]+ s\. Saved full\/model\.\n$/);
  expect(readdirSync(file('full')).sort()).toEqual(['metrics.jsonl', 'model', 'summary.json']);

  const lines = jsonLines('full/metrics.jsonl');
  expect(lines.map((line) => line.step)).toEqual([1, 2, 3, 3]);
  const expected = JSON.parse(readFileSync(path.join(import.meta.dirname, '../fixtures/trl/traces.json'), 'utf8'))
    .sigmoid.logs;
  for (const name of Object.keys(expected[0]).filter((each) => each !== 'step'))
    expect(lines[0]).toHaveProperty([name]);
  expect(String(lines[1]?.loss).length).toBeGreaterThan(8); // as exact as it was computed
  expect(lines[3]).toHaveProperty(['eval_rewards/margins']);

  const summary = JSON.parse(readFileSync(file('full/summary.json'), 'utf8'));
  expect(summary).toMatchObject({ steps: 3, stopReason: null, error: null, reference: { kind: 'clone' } });
  expect(summary.reference.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  expect(summary.ledger.some((entry: { plugin: string }) => entry.plugin === 'watch')).toBe(true);
});

test('--set overrides the file, for the run and for plugins', async () => {
  const { code } = await mooring([
    'train',
    'run.yaml',
    '--set',
    'train.steps=1',
    '--set',
    'plugins.dpo.beta=0.5',
    '--output',
    'set',
  ]);
  expect(code).toBe(0);
  const [first, ...more] = jsonLines('set/metrics.jsonl');
  expect(more).toEqual([]);
  expect(first?.grad_norm).toBeCloseTo(5 * 3.4241886, 1); // the gradient of the loss at the reference is linear in beta
});

test('Ctrl-C finishes the step, saves, and says where', async () => {
  const { code, out } = await mooring(
    ['train', 'run.yaml', '--set', 'train.steps=100000', '--output', 'stopped'],
    (err, signal) => {
      if (err.includes('step 1/')) signal('SIGINT');
    },
  );
  expect(code).toBe(130);
  expect(out).toMatch(/^Stopped after step \d+ \(.*\) in .* Saved stopped\/model\.\n$/);
  const lines = jsonLines('stopped/metrics.jsonl');
  expect(out).toContain(`step ${lines.at(-1)?.step} `);
  expect(existsSync(file('stopped/model/model.safetensors'))).toBe(true);
});

test('a second run into the same folder keeps the figures of the first', async () => {
  await mooring(['train', 'run.yaml', '--set', 'train.steps=1', '--output', 'twice']);
  await mooring(['train', 'run.yaml', '--set', 'train.steps=2', '--output', 'twice']);
  expect(jsonLines('twice/metrics.1.jsonl')).toHaveLength(1);
  expect(jsonLines('twice/metrics.jsonl')).toHaveLength(2);
});

test('explain shows every hook with its taps and why they stand there, for people and for programs', async () => {
  const { out } = await mooring(['explain', 'run.yaml']);
  expect(out).toContain('metrics (default)');
  expect(out).toMatch(/settings +sync waterfall\n +1\. dpo: in order of registration/);
  const json = JSON.parse((await mooring(['explain', 'run.yaml', '--json'])).out);
  expect(json.hooks.find((each: { hook: string }) => each.hook === 'refInit').taps).toEqual([
    { plugin: 'ref-clone', why: 'in order of registration', isDefault: false },
  ]);
  expect(json.services).toContainEqual({ service: 'Reference', provider: 'ref-clone', decorators: [] });
});

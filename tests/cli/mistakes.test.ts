import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MooringError } from 'mooring';
import { readRunFile } from '../../core/cli/run-file.ts';
import { runFile, runHere, workplace } from './support.ts';

const { folder, mooring, write } = workplace();

const plugin = (definition: string) =>
  `import { definePlugin } from 'mooring';\nexport const mine = definePlugin({ ${definition} });\n`;
write('newer.ts', plugin("name: 'newer', apiVersion: 2, apply() {}"));
write('needy.ts', plugin("name: 'needy', apiVersion: 1, requires: ['peft-lora'], apply() {}"));
write('enemy.ts', plugin("name: 'enemy', apiVersion: 1, conflicts: { dpo: 'two losses pull apart.' }, apply() {}"));
write('broken.ts', 'export const = 1;\n');
write('empty.ts', 'export const nothing = 1;\n');

const edited = (from: string, to: string) => runFile.replace(from, to);
const mistakes: Record<string, { text: string; code: string; says: string[] }> = {
  'an unknown key in the run file': {
    text: edited('data:', 'dta:'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:2', "'dta'", "'data'"],
  },
  'an unknown key in train': {
    text: edited('learningRate', 'learningrate'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:7', "'learningrate'", "'learningRate'"],
  },
  'a wrong type in train': {
    text: edited('steps: 3', 'steps: six'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:5', 'train.steps', 'number'],
  },
  "an unknown key in a plugin's options": {
    text: edited('beta: 0.1', 'betta: 0.1'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:11', "'betta'", "'beta'"],
  },
  "a wrong type in a plugin's options": {
    text: edited('beta: 0.1', 'beta: much'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:11', 'beta', 'number'],
  },
  'options for a plugin that takes none': {
    text: edited('- ref-clone', '- ref-clone\n  - metrics: { every: 2 }'),
    code: 'OPTIONS_INVALID',
    says: ['wrong.yaml:13', 'takes no options'],
  },
  'a plugin file that is not there': {
    text: edited('ref-clone', './absent.ts'),
    code: 'PLUGIN_FILE_MISSING',
    says: ['wrong.yaml:12', 'absent.ts'],
  },
  'a plugin file that does not compile': {
    text: edited('ref-clone', './broken.ts'),
    code: 'PLUGIN_LOAD_FAILED',
    says: ['broken.ts'],
  },
  'a plugin file without a plugin': {
    text: edited('ref-clone', './empty.ts'),
    code: 'PLUGIN_NOT_EXPORTED',
    says: ['empty.ts'],
  },
  'a plugin of another API version': {
    text: `${runFile}  - ./newer.ts\n`,
    code: 'PLUGIN_API_VERSION',
    says: ['newer', '2', '1'],
  },
  'a plugin whose companion is missing': {
    text: `${runFile}  - ./needy.ts\n`,
    code: 'PLUGIN_MISSING',
    says: ['needy', 'peft-lora'],
  },
  'plugins that conflict': {
    text: `${runFile}  - ./enemy.ts\n`,
    code: 'PLUGIN_CONFLICT',
    says: ['enemy', 'dpo', 'two losses pull apart.'],
  },
  'a service that nobody provides': {
    text: `${edited('  - ref-clone\n', '')}  - sync-ref-model\n`,
    code: 'SERVICE_MISSING',
    says: ['sync-ref-model', 'Reference', 'ref-clone'],
  },
  'the same plugin twice': { text: `${runFile}  - ref-clone\n`, code: 'PLUGIN_DUPLICATE', says: ['ref-clone'] },
  'removing a plugin that is not there': {
    text: `${runFile}  - progres: false\n`,
    code: 'PLUGIN_NOT_THERE',
    says: ['progress'],
  },
  'YAML that is none': { text: edited('plugins:', 'plugins: ['), code: 'RUN_FILE_MALFORMED', says: ['wrong.yaml:'] },
  'a data file that is not there': {
    text: edited('pairs.jsonl', 'peers.jsonl'),
    code: 'DATA_FILE_MISSING',
    says: ['peers.jsonl'],
  },
  'an output folder that cannot be made': {
    text: edited('output: out', 'output: pairs.jsonl/out'),
    code: 'METRICS_UNWRITABLE',
    says: ['pairs.jsonl/out'],
  },
  'a model folder that is not there': {
    text: edited('model: model', 'model: modle'),
    code: 'MODEL_CONFIG_MISSING',
    says: ['modle'],
  },
};

test.each(Object.entries(mistakes))(
  '%s gets its own error, and nothing is written',
  async (name, { text, code, says }) => {
    write('wrong.yaml', text);
    const printed = await runHere('explain', path.join(folder, 'wrong.yaml'));
    const isFoundLater = printed.code === 0;
    const { err, code: exit } = isFoundLater ? await mooring(['train', 'wrong.yaml']) : printed;
    expect({ name, exit, code: err.match(/^([A-Z_]+):/m)?.[1] }).toEqual({ name, exit: 1, code });
    for (const part of says) expect(err).toContain(part);
    expect(err).not.toContain('    at ');
    expect(existsSync(path.join(folder, 'out/model'))).toBe(false);
  },
);

test('an unknown plugin is refused with the nearest name, before a built-in one is loaded', async () => {
  write('wrong.yaml', edited('ref-clone', 'ref-klone'));
  const { code, err } = await mooring(['explain', 'wrong.yaml']);
  expect(code).toBe(1);
  expect(err).toMatch(/^PLUGIN_NOT_FOUND: wrong\.yaml:12: .*ref-klone/);
  expect(err).toContain('Did you mean ref-clone?');
});

test('a setting is checked as the file is, and the message names it', async () => {
  const { err } = await mooring(['explain', 'run.yaml', '--set', 'train.stepz=3']);
  expect(err).toMatch(/OPTIONS_INVALID: --set train.stepz=3: .*'stepz'/);
  expect(err).toContain("'steps'");
});

test('wrong usage exits with 2 and says what was meant', async () => {
  const { code, err } = await mooring(['trian', 'run.yaml']);
  expect(code).toBe(2);
  expect(err).toContain('train');
});

test('any text is a run file or an error with a code', async () => {
  const file = path.join(folder, 'fuzz.yaml');
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...runFile.split('\n')).map((line) => `${runFile}${line}`),
    fc.json(),
  );
  await fc.assert(
    fc.asyncProperty(text, async (content) => {
      writeFileSync(file, content);
      const outcome = await readRunFile(file).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(MooringError);
      else expect(outcome).toHaveProperty('input.model');
    }),
    { numRuns: 300 },
  );
  expect(readFileSync(file)).toBeDefined();
});

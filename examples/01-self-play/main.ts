import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLog, createTrainer } from 'mooring';
import { defaults } from 'mooring/plugins';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { readCorpus, splitCorpus } from './corpus.ts';
import { type Report, report } from './report.ts';
import { selfPlayPairs } from './self-play.ts';
import { printTable } from './table.ts';

// DPO on real English text, offline: the base model learns to prefer how people go on over how it goes on itself
const model = fileURLToPath(new URL('model/', import.meta.url));
const output = path.resolve(process.argv[2] ?? 'runs/01-self-play');
const trainPairs = Number(process.env.PAIRS ?? 560);
const log = createLog();
await mkdir(output, { recursive: true });

log.info({}, '1/2 the base model continues real passages: its own words are the rejected ones');
const { preference, heldOut } = splitCorpus(readCorpus());
const sets = { train: { documents: preference, pairs: trainPairs }, heldOut: { documents: heldOut, pairs: 192 } };
const lengths = { promptTokens: 24, continuationTokens: 128, seed: 1 };
const pairs = await selfPlayPairs(sets, {
  model,
  log,
  ...lengths,
  onProgress: (done, all) => log.info({}, `  ${done} of ${all} pairs`),
});
const file = (name: string) => path.join(output, `${name}.jsonl`);
for (const [name, rows] of Object.entries(pairs)) {
  await writeFile(file(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

log.info({}, '2/2 DPO against a frozen clone of the base model');
let seen: Report | undefined;
const prompts = (pairs.heldOut ?? []).slice(0, 32).map((pair) => pair.prompt);
const trainer = createTrainer(
  {
    model,
    data: file('train'),
    evalData: file('heldOut'),
    output,
    train: {
      epochs: 2,
      batchSize: 8,
      learningRate: 1e-4,
      schedule: 'cosine',
      warmupSteps: 10,
      maxLength: 160,
      seed: 1,
    },
  },
  { log },
).use(
  ...defaults(),
  dpo({ beta: 0.1 }),
  refClone(),
  report({
    prompts,
    newTokens: lengths.continuationTokens,
    seed: 7,
    done: (look) => {
      seen = look;
    },
  }),
);
process.once('SIGINT', () => trainer.requestStop('interrupted'));
const result = await trainer.train();
if (seen !== undefined) printTable(seen, result, { prompts, output });

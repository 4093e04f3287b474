import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createLog, createTrainer } from 'mooring';
import { defaults } from 'mooring/plugins';
import { dpo } from 'mooring/plugins/dpo';
import { type Report, report } from '../01-self-play/report.ts';
import { references } from './references.ts';

/** What a run came to, as its process tells it on the last line. */
export interface Told {
  readonly report: Report;
  readonly peakBytes: number;
}

// one reference in a process of its own, for the peak of its memory: `run.ts clone MODEL RUNS`
const [name = '', model = '', runs = ''] = process.argv.slice(2);
const reference = references[name];
if (reference === undefined) {
  console.error(`"${name}" is no reference. Nothing was run. There are: ${Object.keys(references).join(', ')}.`);
  process.exit(1);
}
const output = path.join(runs, name);
rmSync(output, { recursive: true, force: true });
const file = (set: string) => path.join(runs, `${set}.jsonl`);
const lines = readFileSync(file('heldOut'), 'utf8').trim().split('\n');
const prompts = lines.slice(0, 16).map((line) => JSON.parse(line).prompt);
const { learningRate } = reference;
const train = { epochs: 1, batchSize: 8, learningRate, schedule: 'constant', maxLength: 96, seed: 1 } as const;
let seen: Report | undefined;
const watch = report({
  prompts,
  newTokens: 64,
  seed: 7,
  scoresSamples: name !== 'cached',
  done: (look) => {
    seen = look;
  },
});
await createTrainer(
  { model, data: file('train'), evalData: file('heldOut'), output, train },
  { log: createLog('warn') },
)
  .use(...defaults(), dpo({ beta: 0.1 }), ...reference.plugins({ model, runs }), watch)
  .remove('progress')
  .train();
console.log(JSON.stringify({ report: seen, peakBytes: process.resourceUsage().maxRSS * 1024 }));

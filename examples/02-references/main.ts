import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLog } from 'mooring';
import { readCorpus, splitCorpus } from '../01-self-play/corpus.ts';
import { selfPlayPairs } from '../01-self-play/self-play.ts';
import { references } from './references.ts';
import type { Told } from './run.ts';
import { tableOf } from './table.ts';

// the same tuning with each reference in turn, on the real base model, and what each costs
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const model = here('../01-self-play/model/');
const runs = path.resolve('runs/02-references');
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(references);
const log = createLog();
await mkdir(runs, { recursive: true });

log.info({}, '1/2 the base model continues real passages: its own words are the rejected ones');
const { preference, heldOut } = splitCorpus(readCorpus());
const sets = { train: { documents: preference, pairs: 128 }, heldOut: { documents: heldOut, pairs: 64 } };
const pairs = await selfPlayPairs(sets, { model, log, promptTokens: 24, continuationTokens: 64, seed: 1 });
for (const [set, rows] of Object.entries(pairs))
  await writeFile(path.join(runs, `${set}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

log.info({}, '2/2 DPO against each reference');
const told = names.map((name): [string, Told] => {
  const args = ['--import', here('../../core/cli/register.js'), here('run.ts'), name, model, runs];
  const stdio = ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'];
  const lines = execFileSync(process.execPath, args, { encoding: 'utf8', stdio }).trim().split('\n');
  log.info({}, `  ${name}: ${references[name]?.what}`);
  return [name, JSON.parse(lines.at(-1) ?? '')];
});
console.log(`\n${tableOf(told)}`);

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLog, MooringError } from 'mooring';
import { readCorpus, splitCorpus } from '../01-self-play/corpus.ts';
import { makeModel } from './make-model.ts';
import { pairsOf } from './pairs.ts';
import { type Told, trainUnderBudget } from './run.ts';

// a model whose training state is larger than the memory that a process may have, trained by several
const memory = process.argv[2] ?? '1.3GiB';
const ranks = Number(process.argv[3] ?? 4);
const folder = path.resolve('runs/03-memory-budget');
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const log = createLog();
const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

mkdirSync(folder, { recursive: true });
const bytes = await makeModel(path.join(folder, 'model'), here('../01-self-play/model/'));
writeFileSync(path.join(folder, 'pairs.jsonl'), pairsOf(splitCorpus(readCorpus()).preference, 16));
log.info({}, `${bytes / 4e6} million parameters; weights, gradients and two moments have ${mebibytes(4 * bytes)}`);
log.info({}, `each process may hold ${memory}`);

log.info({}, '1/2 on one rank');
const refusal = await trainUnderBudget({ folder, memory, ranks: 1 }, () => undefined).catch((error) => error);
if (!(refusal instanceof MooringError)) throw refusal ?? new Error('It fits on one rank: give it less memory.');
console.log(`\n${refusal.message}\n\nthis process held ${mebibytes(process.resourceUsage().maxRSS * 1024)} at most\n`);

const hasMpirun = spawnSync('mpirun', ['--version']).status === 0;
log.info({}, `2/2 on ${ranks} ranks, ${hasMpirun ? 'processes under mpirun' : 'threads, for there is no mpirun'}`);
const program = ['--import', here('../../core/cli/register.js'), here('run.ts'), folder, memory, String(ranks)];
const [command, ...launch] = hasMpirun ? ['mpirun', '-n', String(ranks), process.execPath] : [process.execPath];
// more ranks than cores, and as any user
const env = {
  ...process.env,
  ...{ OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1', OMPI_MCA_rmaps_base_oversubscribe: '1' },
};
const output = execFileSync(command as string, [...launch, ...program], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  env,
});
const told: Told = JSON.parse(output.trim().split('\n').at(-1) ?? '');
for (const [rank, resident] of told.resident.entries()) {
  const tensors = `tensors ${mebibytes(told.tensors[rank] ?? 0)}`;
  console.log(`rank ${rank}: ${tensors}, resident ${mebibytes(resident)} of ${memory}`);
}
if (!hasMpirun) console.log('(threads share a process: its memory is that of all ranks)');
console.log(`loss by step: ${told.losses.map((loss) => loss.toFixed(4)).join(', ')}`);

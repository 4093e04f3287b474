import { createLog } from 'mooring';
import { keepFreedMemory } from '../../plugins/zero3-shard/keep-memory.ts';
import { createThreads } from '../../plugins/zero3-shard/threads/create-threads.ts';

// times collectives between threads; every rank runs this, the first prints
const ranks = Number(process.argv[2] ?? 2);
const rounds = 40;
await keepFreedMemory();
const collectives = createThreads({ ranks, log: createLog() });
const print = (line: string) => void (collectives.rank === 0 && process.stdout.write(`${line}\n`));

await collectives.barrier('the start');
print(`${ranks} threads, GB of whole values a second, best and median of ${rounds}`);
const [, barrier = 0] = await timed(() => collectives.barrier('barrier'));
print(`barrier            ${(1000 * barrier).toFixed(0)} us`);
for (const elements of [2 ** 16, 2 ** 20, 2 ** 23]) {
  const sizes = Array.from({ length: ranks }, () => elements / ranks);
  const own = new Float32Array(elements / ranks).fill(1);
  const whole = new Float32Array(elements).fill(1);
  const kept = new Float32Array(elements);
  const work: Readonly<Record<string, () => unknown>> = {
    'copy to new memory': () => whole.slice(),
    'copy to kept memory': () => kept.set(whole),
    'all-gather': () => collectives.allGather(own, sizes, 'gather'),
    'reduce-scatter': () => collectives.reduceScatter(whole, sizes, 'sum', 'scatter'),
  };
  print(`${(4 * elements) / 2 ** 20} MiB`);
  for (const [name, run] of Object.entries(work)) {
    const rates = (await timed(run)).map((milliseconds) => ((4 * elements) / milliseconds / 1e6).toFixed(2));
    print(`  ${name.padEnd(20)} ${rates.join('  ')}`);
  }
}

/** Milliseconds from when all ranks are ready, the least and the median. */
async function timed(run: () => unknown): Promise<readonly [least: number, median: number]> {
  const taken: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await collectives.barrier('ready');
    const started = performance.now();
    await run();
    taken.push(performance.now() - started);
  }
  taken.sort((a, b) => a - b);
  return [taken[0] as number, taken[rounds >> 1] as number];
}

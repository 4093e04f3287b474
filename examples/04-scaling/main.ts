import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createLog } from 'mooring';
import { blocksOfConfig } from './blocks-of-config.ts';
import { type ChartRow, chartOf, tableOf } from './chart.ts';
import { measureBlocks } from './measure-blocks.ts';
import type { Network } from './network.ts';
import { firstUnhidden, type StepWork, simulateStep } from './simulate-step.ts';
import { stepWorkOf } from './step-work.ts';

// what a step of ZeRO-3 would take on up to 1024 ranks, from blocks measured here, and from published sizes by counting
const { values } = parseArgs({
  options: {
    gigabits: { type: 'string' },
    'latency-us': { type: 'string', default: '20' },
    pattern: { type: 'string', default: 'ring' },
    'tera-operations': { type: 'string', default: '100' },
    'gigabytes-memory': { type: 'string', default: '1000' },
  },
});
const networkOf = (gigabits: number): Network => ({
  latencySeconds: Number(values['latency-us']) / 1e6,
  bytesPerSecond: (Number(values.gigabits ?? gigabits) * 1e9) / 8,
  pattern: values.pattern === 'direct' ? 'direct' : 'ring',
});
const machine = {
  operationsPerSecond: Number(values['tera-operations']) * 1e12,
  memoryBytesPerSecond: Number(values['gigabytes-memory']) * 1e9,
};
const allRanks = Array.from({ length: 11 }, (_, power) => 2 ** power);
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const log = createLog();

log.info({}, '1/2 timing each block of the example model, 8 pairs of 64 + 64 tokens');
const small = { pairs: 8, promptTokens: 64, completionTokens: 64 };
const measured = await measureBlocks(here('../01-self-play/model/'), small);
show('example model, 4 million parameters, blocks measured here', measured, networkOf(10));

log.info({}, '2/2 counting the operations of published sizes, 4 pairs of 1024 + 1024 tokens on each rank');
const large = { pairs: 4, promptTokens: 1024, completionTokens: 1024 };
for (const name of ['llama-2-7b', 'llama-2-70b']) {
  const counted = await blocksOfConfig(here(`../../plugins/advise/configs/${name}/`), large, machine);
  for (const gigabits of values.gigabits === undefined ? [100, 400] : [0])
    show(`${name}, counted, ${values['tera-operations']} TFLOP/s a rank`, counted, networkOf(gigabits));
}

function show(
  title: string,
  { blocks, optimizerSeconds }: Awaited<ReturnType<typeof measureBlocks>>,
  over: Network,
): void {
  const work: StepWork = stepWorkOf(blocks, optimizerSeconds);
  const rows = allRanks.map((ranks): ChartRow => {
    const [prefetched, plain] = [true, false].map((isPrefetched) =>
      simulateStep(work, { ranks, network: over, isPrefetched }),
    );
    return { ranks, prefetched, plain } as ChartRow;
  });
  const link = `${(over.bytesPerSecond * 8) / 1e9} Gbit/s, ${over.latencySeconds * 1e6} us, ${over.pattern}`;
  console.log(`\n${title}; ${link}\n${tableOf(rows)}\n\n${chartOf(rows)}\n${verdictOn(work, over)}`);
}

/** Where prefetch ends to hide gathers, and before which blocks the rank then waits most. */
function verdictOn(work: StepWork, over: Network): string {
  const ranks = firstUnhidden(work, over, allRanks, 0.8);
  if (ranks === undefined) return 'Prefetch hides at least 80 % of the gathers on every number of ranks.';
  const { waits } = simulateStep(work, { ranks, network: over, isPrefetched: true });
  const longest = work.visits
    .map(({ block }, at) => ({ block, milliseconds: 1000 * (waits[at] ?? 0) }))
    .sort((one, other) => other.milliseconds - one.milliseconds)
    .slice(0, 3)
    .map(({ block, milliseconds }) => `${block} ${milliseconds.toPrecision(3)} ms`);
  return `Prefetch hides less than 80 % of the gathers from ${ranks} ranks on; the longest waits: ${longest.join(', ')}.`;
}

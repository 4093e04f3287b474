import * as tf from '@tensorflow/tfjs';
import { definePlugin } from 'mooring';
import { batch, readBenchRun, trainBench } from './bench-run.ts';
import { warmOf } from './clock.ts';
import { benchModels } from './models.ts';
import { stepOperations } from './operations.ts';
import { createProfiler, parts } from './profiler.ts';
import { table } from './table.ts';

// prints where a step's time goes, and what share of the machine's best matrix product it reaches:
// node ... profile.ts tiny 25 --mode eager
const run = readBenchRun();
const profiler = createProfiler();
let gigaflops = 0;
const machine = definePlugin({
  name: 'machine',
  apiVersion: 1,
  apply({ hooks }) {
    hooks.trainEnd.tap(async () => {
      gigaflops = await bestProduct(1024);
    });
  },
});
await trainBench(run, machine(), profiler.plugin);

const steps = warmOf(profiler.steps);
const names = [...new Set(steps.flatMap((step) => [...step.keys()]))].filter((part) => part !== parts.rest);
const totals = steps.map((step) => [...step.values()].reduce((sum, each) => sum + each, 0));
const fastest = Math.min(...totals);
console.log(`\n${run.model}, ${run.mode}, ${run.workload}: 4 pairs of 64 + 64 tokens, ${steps.length} steps`);
console.log(
  table([
    ['', 'min ms', 'median ms', 'of the step'],
    ...[...names, parts.rest].map((part) =>
      line(
        part,
        steps.map((step) => step.get(part) ?? 0),
      ),
    ),
    line('the step', totals),
  ]),
);
for (const isPromptShared of [false, true]) {
  const isReferenceCached = run.workload === 'cached';
  const operations = stepOperations(benchModels[run.model], batch, { isPromptShared, isReferenceCached }) / 1e9;
  const limit = (1000 * operations) / gigaflops;
  console.log(
    `${isPromptShared ? 'prompts computed once' : 'all rows in full'}: ${operations.toFixed(1)} GFLOP, ` +
      `${limit.toFixed(0)} ms at ${gigaflops.toFixed(0)} GFLOP/s (tf.matMul of 1024); ` +
      `the step reaches ${((100 * limit) / fastest).toFixed(0)} % of that`,
  );
}

function line(part: string, milliseconds: readonly number[]): string[] {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const least = sorted[0] as number;
  const median = sorted[Math.floor(sorted.length / 2)] as number;
  return [part, least.toFixed(1), median.toFixed(1), `${((100 * least) / fastest).toFixed(1)} %`];
}

/** Billions of operations a second of the fastest of 30 products of two square matrices. */
async function bestProduct(size: number): Promise<number> {
  const [a, b] = [tf.randomNormal([size, size]), tf.randomNormal([size, size])];
  let least = Infinity;
  for (let round = 0; round < 30; round++) {
    const began = performance.now();
    const product = tf.matMul(a, b);
    await product.data();
    least = Math.min(least, performance.now() - began);
    product.dispose();
  }
  tf.dispose([a, b]);
  return (2 * size ** 3) / least / 1e6;
}

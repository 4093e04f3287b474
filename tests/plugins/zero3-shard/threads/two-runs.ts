import { appendFileSync } from 'node:fs';
import { definePlugin } from 'mooring';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { toyRun } from 'mooring/testing';

// a program that trains twice: by how many ranks each time the arguments say, and every rank that trains writes a line
const [, , file = '', ...runs] = process.argv;
const write = (index: number) =>
  definePlugin({
    name: 'write',
    apiVersion: 1,
    apply: ({ hooks }) =>
      hooks.trainBegin.tap(({ run: { rank, ranks } }) => appendFileSync(file, `run ${index}: ${rank} of ${ranks}\n`)),
  })();
try {
  for (const [index, ranks] of runs.entries()) {
    const sharded = ranks === 'none' ? [] : [zero3Shard({ ranks: Number(ranks) })];
    await toyRun([...sharded, write(index + 1)], { steps: 1 }).trainer.train();
  }
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stderr.write(`${code ?? 'UNEXPECTED'}: ${message}\n`);
  throw error;
}

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import { definePlugin, ParameterStore, type Plugin } from 'mooring';
import { type ToyRun, toyRun } from 'mooring/testing';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { metrics } from '../../../plugins/metrics/index.ts';

const home = mkdtempSync(path.join(tmpdir(), 'mooring-checkpoint-'));
afterAll(() => rmSync(home, { recursive: true }));

/** An empty folder, gone after the tests. */
export const folder = () => mkdtempSync(path.join(home, 'run-'));

/** A kind of run: five steps of two micro-batches, whose epochs end in the middle of steps and of checkpoints. */
export interface Cell {
  readonly plugins: () => Plugin[];
  readonly engine: 'cpu' | 'wasm' | 'native';
  readonly compile?: 'on' | 'off';
}

/** What a run came to. */
export interface Outcome {
  readonly output: string;
  /** Every parameter in every view at the end. */
  readonly weights: Readonly<Record<string, Float32Array>>;
  readonly figures: string;
}

const train = {
  steps: 5,
  gradientAccumulationSteps: 2,
  evalEverySteps: 2,
  schedule: 'linear',
  warmupSteps: 1,
} as const;

/** The run from its beginning to its end. */
export function uninterrupted(cell: Cell): Promise<Outcome> {
  return run(cell, folder());
}

/** The same, stopped after a step and gone on from there by another trainer. */
export async function resumed(cell: Cell, step: number): Promise<Outcome> {
  const output = folder();
  await run(cell, output, step);
  return run(cell, output, undefined, true);
}

/** Trains a cell, up to a step or to the end. */
export async function run(cell: Cell, output: string, stopAfter?: number, resume?: boolean | string): Promise<Outcome> {
  const seen: { weights: Outcome['weights'] } = { weights: {} };
  const { trainer } = trainerOf(cell, output, stopAfter, seen);
  await trainer.train({ resume: resume ?? false });
  return { output, ...seen, figures: readFileSync(path.join(output, 'metrics.jsonl'), 'utf8') };
}

/** A trainer of a cell, with checkpoints at every step. */
export function trainerOf(
  { plugins, engine, compile = 'off' }: Cell,
  output: string,
  stopAfter?: number,
  seen?: { weights: Outcome['weights'] },
): ToyRun {
  const observer = definePlugin({
    name: 'observer',
    apiVersion: 1,
    preservesTraining: true,
    uses: { store: ParameterStore },
    apply({ hooks, services }) {
      let views = ['policy'];
      hooks.refInit.tap(({ reference }) => {
        if (reference !== undefined) views = ['policy', 'reference'];
      });
      hooks.evaluated.tap(({ step }) => void (step === stopAfter && stop()));
      hooks.stepEnd.tap(({ step }) => void (step.index === stopAfter && stop()));
      hooks.trainEnd.tap(() => {
        const { store } = services;
        const named = views.flatMap((view) =>
          store.names.map((name) => {
            const value = store.read(name, view);
            const values = value.dataSync().slice() as Float32Array;
            value.dispose();
            return [`${view} ${name}`, values] as const;
          }),
        );
        if (seen !== undefined) seen.weights = Object.fromEntries(named);
      });
    },
  });
  const toy = toyRun(
    [...plugins(), metrics(), checkpoint({ everySteps: 1, keepLast: 10 }), observer()],
    { ...train, engine, compile },
    output,
  );
  const stop = () => toy.trainer.requestStop('far enough');
  return toy;
}

/** An outcome in bits: weights, and the figures of every step and evaluation but for one that a stop brought about. */
export function asBits({ weights, figures }: Outcome): unknown {
  const lines = figures
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  return {
    weights: Object.fromEntries(
      Object.entries(weights).map(([name, { buffer, byteOffset, byteLength }]) => [
        name,
        Buffer.from(buffer, byteOffset, byteLength).toString('hex'),
      ]),
    ),
    lines: lines.filter(({ step = 0, eval_loss }) => eval_loss === undefined || step % 2 === 0 || step === 5),
  };
}

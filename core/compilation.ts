import { type Batch, inputTokens } from './batch.ts';
import { type BlockRunner, eagerBlocks } from './block-runner.ts';
import { createCompiledBlocks } from './compiled-blocks.ts';
import type { TrainSettings } from './config.ts';
import { Compiler } from './engine/compile/compile.ts';
import type { Engine } from './engine/engine.ts';
import type { MooringError } from './errors.ts';
import type { Step } from './hook-arguments.ts';
import type { Model } from './model.ts';
import type { Log } from './tokens.ts';

/** Runs blocks eagerly or compiled, as `train.compile` says. */
export interface Compilation {
  readonly runner: BlockRunner;
  /** Decides, once the first step's batches are known: what runs before it runs once, and eagerly. */
  begin(step: Step, microBatches: readonly Batch[]): void;
  /** Says what was compiled, after the first step that compiled anything. */
  report(): void;
  dispose(): void;
}

/**
 * Work from which compiling pays, in floating-point operations of the run. Compiling takes some three seconds; an eager
 * step reaches 80 GFLOP/s on 2 cores and a compiled one about 130 (`npm run bench`), so that they are won back in 10^12.
 */
const worthwhile = 1e12;

/** Compiles on the native engine only. */
export function createCompilation(options: {
  readonly train: TrainSettings;
  readonly engine: Engine;
  readonly model: Model;
  readonly log: Log;
}): Compilation {
  const { train, engine, model, log } = options;
  const mode = engine.native === undefined ? 'off' : train.compile;
  if (train.compile === 'on' && mode === 'off')
    log.warn({ engine: engine.name }, 'compile: only the native engine compiles, so blocks run eagerly');
  const compiler = engine.native && new Compiler(engine.native.backend);
  const compiled =
    engine.native && compiler
      ? createCompiledBlocks({
          backend: engine.native.backend,
          compiler,
          recompute: train.recompute,
          refuse: once(log),
        })
      : eagerBlocks;
  let chosen = eagerBlocks;
  let isReported = false;

  return {
    runner: {
      forward: (run) => chosen.forward(run),
      backward: (run, residuals, flowing) => chosen.backward(run, residuals, flowing),
    },
    begin(step, microBatches) {
      if (mode === 'on') chosen = compiled;
      if (mode !== 'auto' || step.index > 1) return;
      const work = workOf(model, inputTokens(microBatches)) * step.steps;
      if (work >= worthwhile) chosen = compiled;
      const decision = chosen === compiled ? 'compiles its blocks' : 'is too short to pay for compiling';
      log.info({ operations: work }, `compile: auto, a run of ${(work / 1e12).toPrecision(2)} TFLOP ${decision}`);
    },
    report() {
      if (isReported || compiler === undefined || compiler.size === 0) return;
      isReported = true;
      const seconds = compiler.milliseconds / 1000;
      log.info(
        { executables: compiler.size, seconds },
        `compile: ${compiler.size} executables in ${seconds.toFixed(1)} s`,
      );
    },
    dispose: () => compiler?.dispose(),
  };
}

/** Two operations for each parameter and token forward, four backward, two for a reference. */
function workOf({ parameters }: Model, tokens: number): number {
  const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  return 8 * count * tokens;
}

/** Warns of each reason once, with the first block that it holds for and the plugin whose tap gave it. */
function once(log: Log): (block: string, error: MooringError) => void {
  const seen = new Set<string>();
  return (block, { message, place: { plugin } }) => {
    const reason = plugin === undefined ? message : `Of the plugin ${plugin}: ${message}`;
    if (seen.has(reason)) return;
    seen.add(reason);
    log.warn({ block }, `compile: ${block}, and others like it, run eagerly. ${reason}`);
  };
}

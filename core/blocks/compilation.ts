import type { TrainSettings } from '../config.ts';
import { Compiler } from '../engine/compile/compile.ts';
import type { Engine } from '../engine/engine.ts';
import type { MooringError } from '../errors.ts';
import type { Model } from '../model.ts';
import { countTokens, type Rows } from '../rows.ts';
import type { Driver, Log } from '../tokens.ts';
import { type BlockRunner, eagerBlocks } from './block-runner.ts';
import { createCompiledBlocks } from './compiled-blocks.ts';
import { chooseShapes, type RowShapes } from './row-shapes.ts';

/** Runs blocks eagerly or compiled, as `train.compile` says. */
export interface Compilation {
  readonly runner: BlockRunner;
  /** Rows in the shape in which they are run. */
  pad(rows: Rows): Rows;
  /** Decides, before the first step: what runs before it runs once, and eagerly. */
  prepare: NonNullable<Driver['prepare']>;
  /** How another model beside this one is run: compiled when it is, in the same shapes. */
  another(): Pick<Compilation, 'runner' | 'pad' | 'prepare'>;
  /** Says after a step what it compiled, if anything. */
  report(): void;
}

/**
 * Work from which compiling pays, in floating-point operations of the run. It takes four to five seconds on 2 cores, and
 * saves 170 ms of a step of 0.04 TFLOP (tiny) and 1.2 s of one of 0.8 (0.1b): won back after 1 to 3 (`npm run bench`).
 * Each shape of batches costs it anew.
 */
const worthwhile = 2e12;

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
  const compiler = engine.native && Compiler.of(engine.native.backend);
  const { recompute } = train;
  const refuse = once(log);
  const digests = new Set<string>();
  let isCompiled = false;
  let shapes: RowShapes | undefined;
  const before = compiler?.milliseconds ?? 0;
  let reported = 0;

  const pad = (rows: Rows) => shapes?.pad(rows) ?? rows;

  return {
    runner: createRunner(),
    pad,
    another: () => ({ runner: createRunner(), pad, prepare: async () => undefined }),
    async prepare({ steps, sample }) {
      if (mode === 'off' || compiler === undefined) return;
      const rows = await sample();
      const work = workOf(model, rows) * steps * train.gradientAccumulationSteps;
      const sampled = chooseShapes(rows.flat());
      const isWorthwhile = mode === 'on' || work >= worthwhile * sampled.count;
      const decision = isWorthwhile ? 'compiles its blocks' : 'is too short to pay for compiling';
      const size = `a run of ${(work / 1e12).toPrecision(2)} TFLOP`;
      if (mode === 'auto') log.info({ operations: work }, `compile: auto, ${size} ${decision}`);
      if (!isWorthwhile) return;
      isCompiled = true;
      shapes = sampled;
      log.info({}, `compile: batches are padded, ${shapes.description}`);
    },
    report() {
      if (digests.size === reported) return;
      reported = digests.size;
      const seconds = ((compiler?.milliseconds ?? 0) - before) / 1000;
      log.info(
        { executables: reported, seconds },
        `compile: ${reported} executables in ${seconds.toFixed(1)} s so far`,
      );
    },
  };

  /** Of one model: what it recorded of a block is never taken for that of another model. */
  function createRunner(): BlockRunner {
    const compiled = compiler && createCompiledBlocks({ compiler, recompute, refuse, digests });
    const chosen = () => (isCompiled ? (compiled ?? eagerBlocks) : eagerBlocks);
    return {
      forward: (run) => chosen().forward(run),
      backward: (run, residuals, flowing) => chosen().backward(run, residuals, flowing),
    };
  }
}

/** Of a mean batch: two operations for each parameter and token forward, four backward, two for a reference. */
function workOf({ parameters }: Model, batches: readonly (readonly Rows[])[]): number {
  const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const tokens = batches.flat().reduce((sum, rows) => sum + countTokens(rows), 0) / batches.length;
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

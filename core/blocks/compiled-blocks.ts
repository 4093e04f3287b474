import * as tf from '@tensorflow/tfjs';
import type { Compiler, Executable } from '../engine/compile/compile.ts';
import type { Value } from '../engine/compile/graph.ts';
import { MooringError } from '../errors.ts';
import { type BlockResult, type BlockRun, type BlockRunner, eagerBlocks } from './block-runner.ts';
import { type SplitOutputs, splitProducts } from './products.ts';
import { recordBlock } from './record-block.ts';
import { residualsOf } from './residuals.ts';

/** What the backward pass of a compiled block reads: kept results of the forward pass, or the block's inputs alone. */
export type Recompute = 'none' | 'block';

/** One block compiled for one set of shapes. */
interface CompiledBlock {
  readonly outputs: readonly (readonly [name: string, value: Value])[];
  /** Yields the outputs that are no parameters as they are, then the residuals. */
  readonly forward: Executable;
  readonly residuals: readonly Value[];
  /** Of `hidden` first, if `hasHidden`, then of parameters by these local names. */
  readonly gradients: SplitOutputs;
  readonly hasHidden: boolean;
  readonly parameterNames: readonly string[];
  /** Yields the operands of the gradients that are its results. */
  readonly backward: Executable;
  readonly backwardResults: readonly Value[];
  readonly needsHidden: boolean;
}

/**
 * Runs blocks compiled. Each block is recorded once for each set of shapes, as the same tfjs function that runs eagerly,
 * gradients included; the recording is split into a forward and a backward executable. What cannot be compiled runs
 * eagerly, and `refuse` is told why.
 */
export function createCompiledBlocks(options: {
  readonly compiler: Compiler;
  readonly recompute: Recompute;
  readonly refuse: (block: string, error: MooringError) => void;
  /** Gets the digest of every executable that runs. */
  readonly digests: Set<string>;
}): BlockRunner {
  const { compiler, recompute, refuse, digests } = options;
  const { backend } = compiler;
  const known = new Map<string, CompiledBlock | 'eager'>();

  // blocks whose backward part has run: until then `hidden` is kept, for an eager one in its place
  const proven = new Set<CompiledBlock>();

  return {
    forward: (run) =>
      either(
        run,
        (compiled) => forward(run, compiled),
        () => eagerBlocks.forward(run),
      ),
    backward: (run, kept, flowing) =>
      either(
        run,
        (compiled) => backward(run, compiled, kept, flowing),
        () => eagerBlocks.backward(run, kept, flowing),
      ),
  };

  /** Eagerly from now on where the block cannot be recorded, or XLA itself refuses it. */
  function either<Result>(run: BlockRun, compiled: (block: CompiledBlock) => Result, eager: () => Result): Result {
    const key = keyOf(run);
    if (known.get(key) === 'eager') return eager();
    try {
      return compiled(compiledOf(key, run));
    } catch (error) {
      if (!(error instanceof MooringError)) throw error;
      refuse(run.block.name, error);
      known.set(key, 'eager');
      return eager();
    }
  }

  function compiledOf(key: string, run: BlockRun): CompiledBlock {
    const found = known.get(key);
    const block = found === undefined || found === 'eager' ? compileBlock(run) : found;
    known.set(key, block);
    return block;
  }

  function forward(run: BlockRun, compiled: CompiledBlock): BlockResult {
    const { forward, outputs } = compiled;
    const results = withTensors(run, new Map(), (tensorOf) => {
      const computed = execute(forward, tensorOf);
      const each = outputs.map(([, value]) => (isParameter(value) ? tf.clone(tensorOf(value)) : computed.shift()));
      return [...(each as tf.Tensor[]), ...computed];
    });
    const named = outputs.map(([name], index) => [name, results[index] as tf.Tensor] as const);
    const needsHidden = compiled.needsHidden || !proven.has(compiled);
    return { outputs: Object.fromEntries(named), residuals: results.slice(outputs.length), needsHidden };
  }

  function backward(run: BlockRun, compiled: CompiledBlock, kept: readonly tf.Tensor[], flowing: tf.Tensor) {
    const { backward, backwardResults, residuals, gradients, hasHidden, parameterNames } = compiled;
    const given = new Map(residuals.map((value, index) => [value, kept[index] as tf.Tensor]));
    const finished = withTensors({ ...run, inputs: { ...run.inputs, flowing } }, given, (tensorOf) => {
      const results = execute(backward, tensorOf);
      for (const [index, value] of backwardResults.entries()) given.set(value, results[index] as tf.Tensor);
      const finished = gradients.finish(backend, tensorOf);
      for (const each of results) if (!finished.includes(each)) each.dispose();
      return finished;
    });
    proven.add(compiled);
    const hidden = hasHidden ? finished.shift() : undefined;
    return { hidden, parameters: parameterNames.map((name, index) => [name, finished[index] as tf.Tensor] as const) };
  }

  function execute(executable: Executable, tensorOf: (value: Value) => tf.Tensor): tf.Tensor[] {
    digests.add(executable.digest);
    return executable.run(executable.arguments.map(tensorOf));
  }

  function compileBlock(run: BlockRun): CompiledBlock {
    const recording = recordBlock(backend, run);
    const outputs = recording.outputs.map(([, value]) => value).filter((value) => !isParameter(value));
    const { hidden, parameters } = recording;
    const gradients = splitProducts([
      ...(hidden === undefined ? [] : [hidden]),
      ...parameters.map(([, value]) => value),
    ]);
    const residuals = recompute === 'none' ? residualsOf(gradients.operands, recording.isForward, isHidden) : [];
    const isGiven = (value: Value) => residuals.some((residual) => residual === value);

    const backwardResults = gradients.operands.filter((value) => value.kind === 'result' && !isGiven(value));
    const backward = compiler.executable(backwardResults, isGiven);
    const read = [...backward.arguments, ...gradients.operands];
    return {
      outputs: recording.outputs,
      forward: compiler.executable([...outputs, ...residuals]),
      residuals,
      gradients,
      hasHidden: hidden !== undefined,
      parameterNames: parameters.map(([local]) => local),
      backward,
      backwardResults,
      needsHidden: read.some(isHidden),
    };
  }
}

/** What a block reads of the one below, which would else be freed. */
function isHidden(value: Value): boolean {
  return value.kind === 'input' && value.name === 'input:hidden';
}

/** An executable would copy it. */
function isParameter(value: Value): boolean {
  return value.kind === 'input' && value.name.startsWith('parameter:');
}

/** Finds the tensor of an input or of what is `given`; reads each parameter that is asked for once, and frees the reads. */
function withTensors(
  run: BlockRun,
  given: ReadonlyMap<Value, tf.Tensor>,
  use: (tensorOf: (value: Value) => tf.Tensor) => tf.Tensor[],
): tf.Tensor[] {
  const reads = new Map<string, tf.Tensor>();
  const tensorOf = (value: Value): tf.Tensor => {
    if (value.kind !== 'input') return given.get(value) as tf.Tensor;
    const [kind, local] = value.name.split(/:(.*)/s) as [string, string | undefined];
    if (kind === 'gradient') return run.inputs.flowing as tf.Tensor;
    if (kind === 'input') return run.inputs[local as string] as tf.Tensor;
    const read = reads.get(local as string) ?? run.source.read(local as string);
    reads.set(local as string, read);
    return read;
  };
  try {
    return use(tensorOf);
  } finally {
    for (const read of reads.values()) read.dispose();
  }
}

/** Inputs that a backward pass need not have any more; their shapes follow from the rest. */
const forwardOnly = ['hidden', 'referenceStates', 'referenceHeadWeight'];

/** All that a recording depends on. */
function keyOf({ block, pass, inputs, source, trainable, isAboveTrained }: BlockRun): string {
  const lasting = Object.entries(inputs).filter(([name]) => !forwardOnly.includes(name));
  const shapes = lasting.map(([name, { dtype, shape }]) => `${name}:${dtype}:${shape}`);
  const { view, variant, gradient, outputs, differentiated, rows } = pass;
  const packed = Object.values(source.names).filter((name) => source.store.storage(name, view) === 'bfloat16');
  const asked = [view, variant, gradient, outputs, differentiated, rows.batch, rows.time, packed];
  return [block.name, ...asked, trainable, isAboveTrained, ...shapes].join('|');
}

import type * as tf from '@tensorflow/tfjs';
import {
  type BlockGradients,
  type BlockResult,
  type BlockRun,
  type BlockRunner,
  differentiate,
  eagerBlocks,
} from './block-runner.ts';
import type { Compiler, Executable } from './engine/compile/compile.ts';
import { type TensorSpec, types, type Value, walk } from './engine/compile/graph.ts';
import { record } from './engine/compile/record.ts';
import type { NativeBackend } from './engine/native.ts';
import { MooringError } from './errors.ts';
import type { Tensors } from './model.ts';
import { Scope } from './scope.ts';

/** What the backward pass of a compiled block reads: kept results of the forward pass, or the block's inputs alone. */
export type Recompute = 'none' | 'block';

/** Tensors by the name that a recording knows them by: `input:hidden`, `parameter:weight`, `gradient`. */
type Feeds = (name: string) => tf.Tensor;

/** One block compiled for one set of shapes. */
interface CompiledBlock {
  readonly outputNames: readonly string[];
  readonly forward: Executable;
  readonly residuals: readonly Value[];
  readonly backward?: {
    readonly executable: Executable;
    readonly names: readonly string[];
    readonly hasHidden: boolean;
  };
  readonly needsHidden: boolean;
}

/**
 * Runs blocks compiled. Each block is recorded once for each set of shapes, as the same tfjs function that runs eagerly,
 * gradients included; the recording is split into a forward and a backward executable. What cannot be compiled runs
 * eagerly, and `refuse` is told why, once for each block.
 */
export function createCompiledBlocks(options: {
  readonly backend: NativeBackend;
  readonly compiler: Compiler;
  readonly recompute: Recompute;
  readonly refuse: (block: string, error: MooringError) => void;
}): BlockRunner {
  const { backend, compiler, recompute, refuse } = options;
  const known = new Map<string, CompiledBlock | undefined>();

  return {
    forward(run) {
      const compiled = compiledOf(run);
      if (compiled === undefined) return eagerBlocks.forward(run);
      const { forward, outputNames, needsHidden } = compiled;
      const results = withFeeds(run, (feed) => forward.run(forward.arguments.map((value) => feed(nameOf(value)))));
      const outputs = Object.fromEntries(outputNames.map((name, index) => [name, results[index] as tf.Tensor]));
      return { outputs, residuals: results.slice(outputNames.length), needsHidden } satisfies BlockResult;
    },

    backward(run, kept, flowing) {
      const compiled = compiledOf(run);
      if (compiled?.backward === undefined) return eagerBlocks.backward(run, kept, flowing);
      const { executable, names, hasHidden } = compiled.backward;
      const results = withFeeds(run, (feed) =>
        executable.run(
          executable.arguments.map((value) => {
            if (value.kind !== 'input') return kept[compiled.residuals.indexOf(value)] as tf.Tensor;
            return value.name === 'gradient' ? flowing : feed(value.name);
          }),
        ),
      );
      const hidden = hasHidden ? results.shift() : undefined;
      return {
        hidden,
        parameters: names.map((name, index) => [name, results[index] as tf.Tensor]),
      } satisfies BlockGradients;
    },
  };

  function compiledOf(run: BlockRun): CompiledBlock | undefined {
    const key = keyOf(run);
    if (known.has(key)) return known.get(key);
    const compiled = attempt(run);
    known.set(key, compiled);
    return compiled;
  }

  function attempt(run: BlockRun): CompiledBlock | undefined {
    try {
      return run.pass.gradient ? compilePair(run) : compileForward(run);
    } catch (error) {
      if (!(error instanceof MooringError)) throw error;
      refuse(run.block.name, error);
      return undefined;
    }
  }

  function compileForward(run: BlockRun): CompiledBlock {
    const { names, values } = recordForward(run);
    return { outputNames: names, forward: compiler.executable(values), residuals: [], needsHidden: false };
  }

  function recordForward(run: BlockRun): { names: string[]; values: Value[] } {
    const { outputs } = record(backend, feedSpecs(run), (tensors, value) => {
      const standing = standIn(run, tensors);
      const scope = new Scope(run.block, run.pass, standing.source, {
        needsValue: true,
        isDifferentiated: false,
        isRecorded: true,
      });
      return entries(run.block.run(scope, standing.inputs), value);
    });
    return outputs;
  }

  function compilePair(run: BlockRun): CompiledBlock {
    const [first] = recordForward(run).values;
    const specs = { ...feedSpecs(run), gradient: specOf(first as Value) };
    const { outputs: recorded, forwardOperations } = record(backend, specs, (tensors, value, endForward) => {
      let outputs = { names: [] as string[], values: [] as Value[] };
      const gradients = differentiate(standIn(run, tensors), {
        flowing: tensors.gradient as tf.Tensor,
        needsValue: true,
        isRecorded: true,
        afterForward(produced) {
          outputs = entries(produced, value);
          endForward();
        },
      });
      return {
        outputs,
        hidden: gradients.hidden === undefined ? [] : [value(gradients.hidden)],
        names: gradients.parameters.map(([local]) => local),
        parameters: gradients.parameters.map(([, gradient]) => value(gradient)),
      };
    });
    const { outputs, hidden, names, parameters } = recorded;
    const wanted = [...hidden, ...parameters];
    const isForward = (value: Value) => value.kind === 'result' && value.operation.index < forwardOperations;
    const residuals = recompute === 'block' ? [] : crossing(wanted, isForward);
    const executable = compiler.executable(wanted, (value) => residuals.includes(value));
    return {
      outputNames: outputs.names,
      forward: compiler.executable([...outputs.values, ...residuals]),
      residuals,
      backward: { executable, names, hasHidden: hidden.length > 0 },
      needsHidden: executable.arguments.some((value) => value.kind === 'input' && value.name === 'input:hidden'),
    };
  }
}

/** What a recording of the backward part reads of the forward part. */
function crossing(wanted: readonly Value[], isForward: (value: Value) => boolean): Value[] {
  const found: Value[] = [];
  walk(
    wanted,
    (value) => {
      if (isForward(value)) found.push(value);
    },
    isForward,
  );
  return found;
}

/** Reads each parameter that is asked for once, and frees the reads. */
function withFeeds(run: BlockRun, use: (feed: Feeds) => tf.Tensor[]): tf.Tensor[] {
  const reads: tf.Tensor[] = [];
  const feed = (name: string) => {
    const [kind, local] = split(name);
    if (kind === 'input') return run.inputs[local] as tf.Tensor;
    const value = run.source.read(local);
    reads.push(value);
    return value;
  };
  try {
    return use(feed);
  } finally {
    for (const each of reads) each.dispose();
  }
}

/** The run with tensors that have no values. */
function standIn(run: BlockRun, tensors: Record<string, tf.Tensor>): BlockRun {
  const inputs = Object.keys(run.inputs).map((name) => [name, tensors[`input:${name}`] as tf.Tensor]);
  // a tidy frees what is read, and the stand-ins are read again
  const read = (local: string) => tensors[`parameter:${local}`] as tf.Tensor;
  return { ...run, inputs: Object.fromEntries(inputs), source: { ...run.source, read } };
}

function feedSpecs({ inputs, source }: BlockRun): Record<string, TensorSpec> {
  const ofInputs = Object.entries(inputs).map(([name, { shape, dtype }]) => [
    `input:${name}`,
    { shape, type: types[dtype as keyof typeof types] },
  ]);
  const ofParameters = Object.entries(source.names).map(([local, name]) => [
    `parameter:${local}`,
    { shape: source.store.spec(name).shape, type: types.float32 },
  ]);
  return Object.fromEntries([...ofInputs, ...ofParameters]);
}

/** All that a recording depends on. */
function keyOf({ block, pass, inputs, trainable, isAboveTrained }: BlockRun): string {
  const shapes = Object.entries(inputs)
    // a backward pass need not have the block's input any more
    .filter(([name]) => name !== 'hidden')
    .map(([name, { shape }]) => `${name}:${shape}`);
  const { view, gradient, outputs, rows } = pass;
  return [block.name, view, gradient, outputs, rows.batch, rows.time, trainable, isAboveTrained, ...shapes].join('|');
}

function entries(outputs: Tensors, value: (tensor: tf.Tensor) => Value): { names: string[]; values: Value[] } {
  return { names: Object.keys(outputs), values: Object.values(outputs).map(value) };
}

function nameOf(value: Value): string {
  return value.kind === 'input' ? value.name : '';
}

function split(name: string): [kind: string, local: string] {
  const at = name.indexOf(':');
  return [name.slice(0, at), name.slice(at + 1)];
}

function specOf({ shape, type }: Value): TensorSpec {
  return { shape, type };
}

import * as tf from '@tensorflow/tfjs';
import type { Block, Pass, Tensors } from '../model.ts';
import { differentiatedBy, Scope, type ScopeSource } from '../scope.ts';
import { gradientsOf } from './gradients-of.ts';

/** A block of a pass, with all that it reads. */
export interface BlockRun {
  readonly block: Block;
  readonly pass: Pass;
  readonly inputs: Tensors;
  readonly source: ScopeSource;
  /** Local names of the parameters that are differentiated; none without a gradient. */
  readonly trainable: readonly string[];
  /** Whether anything below the block is trained, so that the gradient of `hidden` is wanted. */
  readonly isAboveTrained: boolean;
}

/** What a block yields. */
export interface BlockResult {
  readonly outputs: Tensors;
  /** What the backward pass reads beside the block's inputs. */
  readonly residuals: readonly tf.Tensor[];
  /** Whether the backward pass reads `hidden`. */
  readonly needsHidden: boolean;
}

/** Gradients of a block; names are local. */
export interface BlockGradients {
  readonly hidden?: tf.Tensor | undefined;
  readonly parameters: readonly (readonly [local: string, gradient: tf.Tensor])[];
}

/** Runs blocks: the driver does not know how. */
export interface BlockRunner {
  /** The caller disposes what it gets. */
  forward(run: BlockRun): BlockResult;
  /** `flowing` is the gradient of `hidden`, or of the head's differentiated outputs, one after the other. The caller disposes all that it gave, and what it gets. */
  backward(run: BlockRun, residuals: readonly tf.Tensor[], flowing: tf.Tensor): BlockGradients;
}

/**
 * Runs blocks operation by operation, on any engine. Backward runs the block again and differentiates it, so a forward
 * pass keeps nothing but the block's input (gradient checkpointing by block, Chen et al. 2016).
 */
export const eagerBlocks: BlockRunner = {
  forward(run) {
    const purpose = { needsValue: true, isDifferentiated: false };
    const outputs = tf.tidy(() => ({ ...run.block.run(new Scope(run, purpose), { ...run.inputs }) }));
    return { outputs, residuals: [], needsHidden: true };
  },

  backward(run, _, flowing) {
    let found: BlockGradients = { parameters: [] };
    tf.tidy(() => {
      const { hidden, parameters } = differentiate(run, { flowing, needsValue: false });
      // a gradient may be a tensor that was given, or that of another
      found = {
        hidden: hidden && tf.clone(hidden),
        parameters: parameters.map(([local, value]) => [local, tf.clone(value)]),
      };
      return [...(found.hidden === undefined ? [] : [found.hidden]), ...found.parameters.map(([, value]) => value)];
    });
    return found;
  },
};

/**
 * Runs a block and its gradients with tfjs's tape; lives inside a tidy. `afterForward` sees the block's outputs before
 * anything is differentiated.
 */
export function differentiate(
  run: BlockRun,
  options: {
    readonly flowing: tf.Tensor;
    readonly needsValue: boolean;
    readonly isRecorded?: boolean;
    readonly afterForward?: (outputs: Tensors) => void;
  },
): BlockGradients {
  const { flowing, needsValue, isRecorded = false, afterForward } = options;
  const { block, inputs, trainable, isAboveTrained } = run;
  const scope = new Scope(run, { needsValue, isDifferentiated: true, isRecorded });
  const reads = trainable.map((local) => scope.read(local));
  const { hidden } = inputs;
  const wanted = isAboveTrained && hidden !== undefined ? [hidden, ...reads] : reads;
  const output = () => {
    const outputs = block.run(scope, inputs);
    afterForward?.(outputs);
    const each = differentiatedOf(outputs, run.pass).map((name) => outputs[name] as tf.Tensor);
    return each.length === 1 ? (each[0] as tf.Tensor) : tf.concat(each);
  };
  const { grads } = gradientsOf(output, wanted, flowing);
  // a block need not read what comes from below
  const below =
    hidden !== undefined && wanted.length > reads.length ? (grads.shift() ?? tf.zerosLike(hidden)) : undefined;
  const parameters = trainable.flatMap((local, at) => {
    const gradient = grads[at];
    return gradient === undefined || gradient === null ? [] : [[local, gradient] as const];
  });
  return { hidden: below, parameters };
}

/** The outputs that gradients flow into: `hidden` of embedding and layers, of the head those that the pass names. */
export function differentiatedOf(outputs: Readonly<Record<string, unknown>>, pass: Pass): readonly string[] {
  return outputs.hidden === undefined ? differentiatedBy(pass) : ['hidden'];
}

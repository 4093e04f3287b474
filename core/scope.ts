import * as tf from '@tensorflow/tfjs';
import { failure } from './failure.ts';
import type { Projection } from './hook-arguments.ts';
import type { Hooks } from './hooks/registry.ts';
import type { Block, BlockScope, DifferentiableName, ModuleSpec, OutputName, Pass, Tensors } from './model.ts';
import { takeWidenedRows, widen } from './parameters/bfloat16.ts';
import { takeRows } from './take-rows.ts';
import type { ParameterStore } from './tokens.ts';

/** What a scope draws on: parameters, the taps, and the names of those that plugins added to the block. */
export interface ScopeSource {
  readonly store: Pick<ParameterStore, 'spec' | 'isTrainable' | 'storage'>;
  readonly hooks: Hooks;
  /** Local name to parameter name, the block's own and those that plugins defined for it. */
  readonly names: Readonly<Record<string, string>>;
  /** What is stored of a parameter, by its local name; the caller disposes it. */
  read(local: string): tf.Tensor;
}

/** What is run: a block of a pass, with its inputs. */
export interface ScopeRun {
  readonly block: Block;
  readonly pass: Pass;
  readonly source: ScopeSource;
  readonly inputs: Tensors;
}

type ProjectionInput = Pick<Projection, 'input' | 'source'>;

/** What a run of a block is for. */
export interface ScopePurpose {
  /** Whether the block's value is wanted: false where only gradients are. */
  readonly needsValue: boolean;
  /** Whether gradients flow to the reads of trainable parameters. */
  readonly isDifferentiated: boolean;
  /** Whether it is recorded to be compiled: then only taps that may be captured are called. */
  readonly isRecorded?: boolean;
}

/** One run of a block: reads each parameter once and passes it through the taps. Lives inside a tidy, which frees the reads. */
export class Scope implements BlockScope {
  readonly view: string;
  private readonly variant: string | undefined;
  readonly rows: { readonly batch: number; readonly time: number };
  readonly outputs: readonly OutputName[];
  readonly needsValue: boolean;
  readonly hasGradient: boolean;
  readonly differentiated: readonly DifferentiableName[];
  private readonly isRecorded: boolean;
  private readonly block: Block;
  private readonly source: ScopeSource;
  private readonly inputs: Tensors;
  private readonly reads = new Map<string, tf.Tensor>();
  private readonly tapped = new Map<string, tf.Tensor>();

  constructor({ block, pass, source, inputs }: ScopeRun, purpose: ScopePurpose) {
    this.block = block;
    this.source = source;
    this.inputs = inputs;
    this.view = pass.view;
    this.variant = pass.variant;
    this.rows = { batch: pass.rows.batch, time: pass.rows.time };
    this.differentiated = purpose.isDifferentiated ? differentiatedBy(pass) : [];
    this.outputs = purpose.needsValue ? pass.outputs : this.differentiated;
    this.needsValue = purpose.needsValue;
    this.isRecorded = purpose.isRecorded ?? false;
    this.hasGradient = purpose.isDifferentiated;
  }

  parameter(local: string): tf.Tensor {
    const { hooks, store } = this.source;
    if (!this.isTapped('readParameter')) return this.read(local);
    const known = this.tapped.get(local);
    if (known !== undefined) return known;
    const parameter = store.spec(this.nameOf(local));
    const { block, view, variant } = this;
    const read = (other: string) => this.read(other);
    const value = hooks.call.readParameter(this.read(local), { block, parameter, view, variant, read });
    this.tapped.set(local, value);
    return value;
  }

  isDifferentiated(local: string): boolean {
    const { names, store } = this.source;
    if (!this.hasGradient) return false;
    // a tap's tensor may be made from parameters of its own
    return store.isTrainable(names[local] as string) || this.isReplaced(local);
  }

  linear(
    module: string,
    input: tf.Tensor,
    { isGradientOnly = false, source }: { isGradientOnly?: boolean; source?: tf.Tensor | undefined } = {},
  ): tf.Tensor {
    const spec = this.module(module);
    const weight = this.parameter(spec.weight);
    const isTransposed = spec.layout === 'out,in';
    // a tap may read the product
    const isLeftOut = isGradientOnly && !this.isTapped('projection');
    const product = isLeftOut
      ? gradientsOfProduct(input, weight, { isTransposed, isFrozen: !this.isDifferentiated(spec.weight) })
      : tf.matMul(input as tf.Tensor2D, weight as tf.Tensor2D, false, isTransposed);
    const output = spec.bias === undefined ? product : tf.add(product, this.parameter(spec.bias));
    return this.projected(module, spec, { input, source }, output);
  }

  embedding(module: string, ids: tf.Tensor): tf.Tensor {
    const spec = this.module(module);
    return this.projected(module, spec, { input: ids, source: undefined }, this.rowsOf(spec.weight, ids));
  }

  /** The store's value, read once for the whole run of the block. */
  read(local: string): tf.Tensor {
    const known = this.reads.get(local);
    if (known !== undefined) return known;
    const value = widen(this.source.read(local), this.source.store.spec(this.nameOf(local)).shape);
    this.reads.set(local, value);
    return value;
  }

  /** Of a packed matrix only the rows that are taken are widened, unless a tap put another in its place. */
  private rowsOf(local: string, ids: tf.Tensor): tf.Tensor {
    const isPacked = this.source.store.storage(this.nameOf(local), this.view) === 'bfloat16';
    return isPacked && !this.isReplaced(local)
      ? takeWidenedRows(this.source.read(local), ids)
      : takeRows(this.parameter(local), ids);
  }

  /** Whether a tap put another tensor in a parameter's place. */
  private isReplaced(local: string): boolean {
    return this.isTapped('readParameter') && this.parameter(local) !== this.read(local);
  }

  private projected(name: string, module: ModuleSpec, given: ProjectionInput, output: tf.Tensor): tf.Tensor {
    const { hooks } = this.source;
    if (!this.isTapped('projection')) return output;
    const { block, view, variant, inputs } = this;
    const weight = () => this.parameter(module.weight);
    const read = (local: string) => this.read(local);
    return hooks.call.projection(output, { block, name, module, ...given, inputs, weight, view, variant, read });
  }

  private isTapped(hook: 'readParameter' | 'projection'): boolean {
    const taps = this.source.hooks.tapsOf(hook);
    const refused = this.isRecorded ? taps.find(({ isCapturable }) => !isCapturable) : undefined;
    if (refused !== undefined) throw failure('TAP_NOT_CAPTURABLE', { plugin: refused.plugin, hook });
    return taps.length > 0;
  }

  private module(name: string): ModuleSpec {
    return this.block.modules[name] as ModuleSpec;
  }

  private nameOf(local: string): string {
    return this.source.names[local] as string;
  }
}

/** Outputs of the head that gradients flow into, where any do. */
export function differentiatedBy({ differentiated }: Pass): readonly DifferentiableName[] {
  return differentiated ?? ['logps'];
}

/** The product of `input` and `weight` as far as its gradients go: its value is zeros, and costs nothing. */
function gradientsOfProduct(
  input: tf.Tensor,
  weight: tf.Tensor,
  { isTransposed, isFrozen }: { isTransposed: boolean; isFrozen: boolean },
): tf.Tensor {
  const shape = [input.shape[0] as number, weight.shape[isTransposed ? 0 : 1] as number];
  return tf.customGrad((...given) => {
    (given.at(-1) as tf.GradSaveFunc)([input, weight]);
    return {
      value: tf.zeros(shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [dy2, input, weight] = [dy, ...saved] as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const dInput = tf.matMul(dy2, weight, false, !isTransposed);
        if (isFrozen) return [dInput];
        return [dInput, isTransposed ? tf.matMul(dy2, input, true, false) : tf.matMul(input, dy2, true, false)];
      },
    };
  })(...(isFrozen ? [input] : [input, weight]));
}

import * as tf from '@tensorflow/tfjs';
import type { DefineParameter } from './hook-arguments.ts';
import type { Hooks } from './hooks/registry.ts';
import type { Block, Model, Outputs, Pass, Tensors } from './model.ts';
import type { Rows } from './rows.ts';
import { Scope, type ScopeSource } from './scope.ts';
import type { Driver, Metric, ParameterStore } from './tokens.ts';

/**
 * Runs a model block by block. Forward keeps only each block's input; backward runs the block again and differentiates
 * it with respect to that input and its trainable parameters (gradient checkpointing by block, Chen et al. 2016).
 * So no tape spans blocks, and every block's parameters are read, used and let go between two awaits.
 */
export class BlockDriver implements Driver {
  private readonly model: Model;
  private readonly store: ParameterStore;
  private readonly hooks: Hooks;
  private readonly extras = new Map<string, Record<string, string>>();
  private readonly prepared = new Map<Rows, Tensors>();
  private readonly tapes = new Map<string, (tf.Tensor | undefined)[]>();
  private microStep = 0;

  constructor(model: Model, store: ParameterStore, hooks: Hooks) {
    this.model = model;
    this.store = store;
    this.hooks = hooks;
  }

  /** Adds a plugin's parameter to a block, under a local name that its taps read. */
  readonly define: DefineParameter = (block, local, spec, value) => {
    this.store.define(spec);
    this.store.load(spec.name, value);
    this.extras.set(block, { ...this.extras.get(block), [local]: spec.name });
  };

  async forward(pass: Pass): Promise<Outputs> {
    const shared = this.sharedInputs(pass.rows);
    const kept: (tf.Tensor | undefined)[] = [];
    if (pass.gradient) this.tapes.set(pass.key, kept);
    let carried: Tensors = {};
    for (const block of this.model.blocks) {
      const masks = this.model.dropoutMasks(block, pass);
      const input = carried;
      carried = await this.runBlock(block, pass, { ...shared, ...masks, ...input }).finally(() => {
        if (pass.gradient) kept.push(input.hidden);
        else tf.dispose(Object.values(input));
        tf.dispose(Object.values(masks));
      });
    }
    return carried;
  }

  async runBlock(block: Block, pass: Pass, inputs: Tensors): Promise<Tensors> {
    const next = this.model.blocks[this.model.blocks.indexOf(block) + 1];
    let outputs: Tensors = {};
    const run = async () => {
      outputs = tf.tidy(() => ({ ...block.run(new Scope(block, pass, this.sourceOf(block), false), { ...inputs }) }));
      return outputs;
    };
    return this.hooks.call.beforeForward({ block, pass, next }, run).catch((error) => {
      tf.dispose(Object.values(outputs)); // an after-tap failed, so nobody gets them
      throw error;
    });
  }

  differentiate(outputs: Readonly<Record<string, Outputs>>, keys: readonly string[], loss: () => tf.Tensor) {
    const logps = keys.map((key) => outputs[key]?.logps as tf.Tensor);
    const { value, grads } = gradientsOf(loss, logps);
    const gradients = keys.map((key, index) => [key, grads[index] ?? tf.zerosLike(logps[index] as tf.Tensor)] as const);
    return { value, gradients: Object.fromEntries(gradients) };
  }

  measure(figures: () => Readonly<Record<string, Metric>>) {
    return tf.tidy(() => {
      const read = ({ value, ...rest }: Metric) => ({
        ...rest,
        value: typeof value === 'number' ? value : (value.dataSync()[0] as number),
      });
      return Object.fromEntries(Object.entries(figures()).map(([name, metric]) => [name, read(metric)]));
    });
  }

  async backward(pass: Pass, gradient: tf.Tensor): Promise<void> {
    const { blocks } = this.model;
    const kept = this.tapes.get(pass.key) ?? [];
    const shared = this.sharedInputs(pass.rows);
    const sums = new Map<string, tf.Tensor>();
    // below the lowest block that trains anything there is nothing to differentiate
    const lowest = blocks.findIndex((block) => this.trainableOf(block).length > 0);
    let flowing = gradient;
    const visit = async (block: Block, index: number, masks: Tensors) => {
      const hidden = kept[index];
      const inputs: Tensors = { ...shared, ...masks, ...(hidden === undefined ? {} : { hidden }) };
      const { below, parameters } = this.blockGradients(block, pass, inputs, flowing, index > lowest);
      flowing.dispose();
      flowing = below ?? tf.scalar(0);
      kept.pop()?.dispose();
      for (const [name, value] of parameters) addTo(sums, name, value);
      this.handOver(sums, index);
    };
    try {
      for (let index = blocks.length - 1; index >= Math.max(lowest, 0); index--) {
        const block = blocks[index] as Block;
        const masks = this.model.dropoutMasks(block, pass);
        await this.hooks.call
          .beforeBackward({ block, pass, next: blocks[index - 1] }, () => visit(block, index, masks))
          .finally(() => tf.dispose(Object.values(masks)));
      }
    } finally {
      tf.dispose([flowing, ...sums.values()]);
    }
    this.microStep++;
  }

  release(): void {
    for (const kept of this.tapes.values()) tf.dispose(kept.filter((each) => each !== undefined));
    for (const shared of this.prepared.values()) tf.dispose(Object.values(shared));
    this.tapes.clear();
    this.prepared.clear();
  }

  private blockGradients(block: Block, pass: Pass, inputs: Tensors, flowing: tf.Tensor, needsHidden: boolean) {
    const names = this.trainableOf(block);
    const found = tf.tidy(() => {
      const scope = new Scope(block, pass, this.sourceOf(block), true);
      const reads = names.map(([local]) => scope.read(local));
      const wanted = needsHidden && inputs.hidden !== undefined ? [inputs.hidden, ...reads] : reads;
      const output = () => Object.values(block.run(scope, inputs))[0] as tf.Tensor;
      const { grads } = gradientsOf(output, wanted, flowing);
      return { below: wanted.length > reads.length ? grads.shift() : undefined, parameters: grads };
    });
    const parameters = names.flatMap(([, name], at) => {
      const value = found.parameters[at];
      return value === undefined || value === null ? [] : [[name, value] as const];
    });
    return { below: found.below, parameters };
  }

  /** Hands over what no block below uses: a parameter of several blocks once, summed, when the lowest is done. */
  private handOver(sums: Map<string, tf.Tensor>, index: number): void {
    const below = this.model.blocks.slice(0, index).flatMap((block) => this.trainableOf(block).map(([, name]) => name));
    for (const [name, sum] of sums) {
      if (below.includes(name)) continue;
      const tap = () => this.hooks.call.gradient(sum, { name, microStep: this.microStep });
      const gradient = this.hooks.isTapped('gradient') ? tf.tidy(tap) : sum;
      if (gradient !== sum) sum.dispose();
      sums.delete(name);
      this.store.accumulate(name, gradient);
    }
  }

  private sharedInputs(rows: Rows): Tensors {
    const known = this.prepared.get(rows);
    if (known !== undefined) return known;
    const shared = tf.tidy(() => ({ ...this.model.prepare(rows) }));
    this.prepared.set(rows, shared);
    return shared;
  }

  private sourceOf(block: Block): ScopeSource {
    const names = { ...block.parameters, ...this.extras.get(block.name) };
    return { store: this.store, hooks: this.hooks, names };
  }

  private trainableOf(block: Block): [local: string, name: string][] {
    return Object.entries(this.sourceOf(block).names).filter(([, name]) => this.store.isTrainable(name));
  }
}

/** Adds to a sum by name; takes ownership of `value`. */
function addTo(sums: Map<string, tf.Tensor>, name: string, value: tf.Tensor): void {
  const before = sums.get(name);
  sums.set(name, before === undefined ? value : tf.add(before, value));
  if (before !== undefined) tf.dispose([before, value]);
}

/** tfjs's own gradients; where `f` fails, tfjs would keep what it saved for them. */
function gradientsOf(f: () => tf.Tensor, xs: tf.Tensor[], dy?: tf.Tensor) {
  const engine = tf.engine();
  try {
    return engine.gradients(f, xs, dy, true);
  } catch (error) {
    for (const { saved = [] } of engine.state.activeTape ?? []) tf.dispose(saved);
    throw error;
  }
}

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
      const outputs = await this.runBlock(block, pass, { ...shared, ...masks, ...carried });
      if (pass.gradient) kept.push(carried.hidden);
      else tf.dispose(Object.values(carried));
      tf.dispose(Object.values(masks));
      carried = outputs;
    }
    return carried;
  }

  async runBlock(block: Block, pass: Pass, inputs: Tensors): Promise<Tensors> {
    const next = this.model.blocks[this.model.blocks.indexOf(block) + 1];
    return this.hooks.call.beforeForward({ block, pass, next }, async () =>
      tf.tidy(() => ({ ...block.run(new Scope(block, pass, this.sourceOf(block), false), { ...inputs }) })),
    );
  }

  differentiate(outputs: Readonly<Record<string, Outputs>>, keys: readonly string[], loss: () => tf.Tensor) {
    const logps = keys.map((key) => outputs[key]?.logps as tf.Tensor);
    const { value, grads } = tf.engine().gradients(loss, logps, undefined, true);
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
    const tied = new Map<string, tf.Tensor>();
    // below the lowest block that trains anything there is nothing to differentiate
    const lowest = blocks.findIndex((block) => this.trainableOf(block).length > 0);
    let flowing = gradient;
    for (let index = blocks.length - 1; index >= Math.max(lowest, 0); index--) {
      const block = blocks[index] as Block;
      const masks = this.model.dropoutMasks(block, pass);
      await this.hooks.call.beforeBackward({ block, pass, next: blocks[index - 1] }, async () => {
        const hidden = kept[index];
        const inputs: Tensors = { ...shared, ...masks, ...(hidden === undefined ? {} : { hidden }) };
        const { below, parameters } = this.blockGradients(block, pass, inputs, flowing, index > lowest);
        tf.dispose([flowing, ...Object.values(masks)]);
        kept.pop()?.dispose();
        for (const [name, value] of parameters) this.handOver(name, value, index, tied);
        flowing = below ?? tf.scalar(0);
      });
    }
    flowing.dispose();
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
      const { grads } = tf.engine().gradients(output, wanted, flowing, true);
      return { below: wanted.length > reads.length ? grads.shift() : undefined, parameters: grads };
    });
    const parameters = names.flatMap(([, name], at) => {
      const value = found.parameters[at];
      return value === undefined || value === null ? [] : [[name, value] as const];
    });
    return { below: found.below, parameters };
  }

  /** A parameter that several blocks use is handed over once, summed, when the lowest of them is done. */
  private handOver(name: string, value: tf.Tensor, index: number, tied: Map<string, tf.Tensor>): void {
    const before = tied.get(name);
    const sum = before === undefined ? value : tf.add(before, value);
    if (before !== undefined) tf.dispose([before, value]);
    const isUsedBelow = this.model.blocks
      .slice(0, index)
      .some((block) => this.trainableOf(block).some((pair) => pair[1] === name));
    if (isUsedBelow) tied.set(name, sum);
    else {
      tied.delete(name);
      this.store.accumulate(name, this.hooks.call.gradient(sum, { name, microStep: this.microStep }));
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

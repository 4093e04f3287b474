import * as tf from '@tensorflow/tfjs';
import { type BlockRun, eagerBlocks } from './blocks/block-runner.ts';
import type { Compilation } from './blocks/compilation.ts';
import { gradientsOf } from './blocks/gradients-of.ts';
import { cutTargets, padTargets } from './blocks/pad-rows.ts';
import { failure } from './failure.ts';
import type { DefineParameter } from './hook-arguments.ts';
import type { Hooks } from './hooks/registry.ts';
import { divergenceNames, refuseVocabularies } from './kl.ts';
import type { Block, Model, OutputGradients, OutputName, Outputs, Pass, Tensors } from './model.ts';
import type { Rows } from './rows.ts';
import { differentiatedBy } from './scope.ts';
import type { Driver, Metric, ParameterStore } from './tokens.ts';

/** What a forward pass keeps of one block for its backward pass. */
interface Kept {
  readonly hidden: tf.Tensor | undefined;
  readonly residuals: readonly tf.Tensor[];
  /** What the head's divergences compare with, where they are differentiated. */
  readonly reference: Tensors;
}

/** What runs blocks, and in which shapes. */
export type Blocks = Pick<Compilation, 'runner' | 'pad' | 'prepare'>;

/**
 * Runs a model block by block. No tape spans blocks, and every block's parameters are read, used and let go between two
 * awaits; how a block runs, and what it keeps for its backward pass, is its runner's.
 */
export class BlockDriver implements Driver {
  private readonly model: Model;
  private readonly store: ParameterStore;
  private readonly hooks: Hooks;
  private readonly blocks: Blocks;
  private readonly extras = new Map<string, Record<string, string>>();
  private readonly prepared = new Map<Rows, Tensors>();
  private readonly tapes = new Map<string, Kept[]>();
  private microStep = 0;

  constructor(model: Model, store: ParameterStore, hooks: Hooks, blocks: Blocks) {
    this.model = model;
    this.store = store;
    this.hooks = hooks;
    this.blocks = blocks;
  }

  /** Adds a plugin's parameter to a block, under a local name that its taps read. */
  readonly define: DefineParameter = (block, local, spec, value) => {
    this.store.define(spec);
    this.store.load(spec.name, value);
    this.extras.set(block, { ...this.extras.get(block), [local]: spec.name });
  };

  readonly prepare: NonNullable<Driver['prepare']> = (coming) => this.blocks.prepare(coming);

  async forward(asked: Pass): Promise<Outputs> {
    if (asked.outputs.some(isDivergence)) this.refuseUncompared(asked);
    const pass = { ...asked, rows: this.blocks.pad(asked.rows) };
    const shared = this.sharedInputs(pass.rows);
    const kept: Kept[] = [];
    if (pass.gradient) this.tapes.set(pass.key, kept);
    const lowest = this.lowestTrained();
    let carried: Tensors = {};
    for (const [index, block] of this.model.blocks.entries()) {
      const own = { ...this.model.dropoutMasks(block, pass), ...referenceInputs(block, pass) };
      const { hidden } = carried;
      let isHiddenKept = false;
      const run = () => {
        const result = this.blocks.runner.forward(this.runOf(pass, index, { ...shared, ...own, ...carried }));
        isHiddenKept = pass.gradient && index >= lowest && result.needsHidden;
        const reference =
          pass.gradient && differentiatedBy(pass).some(isDivergence) ? referenceInputs(block, pass) : {};
        const { residuals } = result;
        if (pass.gradient) kept.push({ hidden: isHiddenKept ? hidden : undefined, residuals, reference });
        return result.outputs;
      };
      carried = await this.visit(block, pass, run).finally(() => {
        if (!isHiddenKept) hidden?.dispose();
        tf.dispose(Object.values(own));
      });
    }
    return cutTargets(carried, asked.rows.targets.label.length);
  }

  runBlock(block: Block, pass: Pass, inputs: Tensors): Promise<Tensors> {
    const run = this.runOf(pass, this.model.blocks.indexOf(block), inputs);
    return this.visit(block, pass, () => eagerBlocks.forward(run).outputs);
  }

  differentiate(outputs: Readonly<Record<string, Outputs>>, keys: readonly string[], loss: () => tf.Tensor) {
    const given = keys.flatMap((key) =>
      Object.entries(outputs[key] ?? {}).map(([name, tensor]) => ({ key, name, tensor })),
    );
    const { value, grads } = gradientsOf(
      loss,
      given.map(({ tensor }) => tensor),
    );
    const gradients: Record<string, Record<string, tf.Tensor>> = Object.fromEntries(keys.map((key) => [key, {}]));
    for (const [at, { key, name }] of given.entries()) {
      const gradient = grads[at];
      if (gradient) (gradients[key] as Record<string, tf.Tensor>)[name] = gradient;
    }
    return { value, gradients };
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

  async backward(asked: Pass, gradients: OutputGradients): Promise<void> {
    const pass = { ...asked, rows: this.blocks.pad(asked.rows) };
    const { blocks } = this.model;
    const kept = this.tapes.get(pass.key) ?? [];
    const shared = this.sharedInputs(pass.rows);
    const sums = new Map<string, tf.Tensor>();
    const lowest = Math.max(this.lowestTrained(), 0);
    let flowing = joined(gradients, asked, pass.rows.targets.label.length);
    const visit = async (index: number, masks: Tensors) => {
      const { hidden, residuals, reference } = kept[index] as Kept;
      const inputs: Tensors = { ...shared, ...masks, ...reference, ...(hidden === undefined ? {} : { hidden }) };
      const run = this.runOf(pass, index, inputs);
      const found = this.blocks.runner.backward(run, residuals, flowing);
      flowing.dispose();
      flowing = found.hidden ?? tf.scalar(0);
      disposeKept(kept.pop());
      for (const [local, value] of found.parameters) addTo(sums, run.source.names[local] as string, value);
      this.handOver(sums, index);
    };
    try {
      for (let index = blocks.length - 1; index >= lowest; index--) {
        const block = blocks[index] as Block;
        const masks = this.model.dropoutMasks(block, pass);
        const next = index > lowest ? blocks[index - 1] : undefined;
        await this.hooks.call
          .beforeBackward({ block, pass, next }, () => visit(index, masks))
          .finally(() => tf.dispose(Object.values(masks)));
      }
    } finally {
      tf.dispose([flowing, ...sums.values()]);
    }
    this.microStep++;
  }

  release(): void {
    for (const kept of this.tapes.values()) kept.forEach(disposeKept);
    for (const shared of this.prepared.values()) tf.dispose(Object.values(shared));
    this.tapes.clear();
    this.prepared.clear();
  }

  /** Throws KL_UNCOMPARED and KL_VOCABULARIES. */
  private refuseUncompared({ key, reference }: Pass): void {
    if (reference === undefined) {
      throw failure('KL_UNCOMPARED', { pass: key, source: 'its caller', missing: '`reference`' });
    }
    refuseVocabularies(this.model.vocabularySize, reference.headWeight.shape[0] as number);
  }

  private visit(block: Block, pass: Pass, run: () => Tensors): Promise<Tensors> {
    const next = this.model.blocks[this.model.blocks.indexOf(block) + 1];
    let outputs: Tensors = {};
    const running = async () => {
      outputs = run();
      return outputs;
    };
    return this.hooks.call.beforeForward({ block, pass, next }, running).catch((error) => {
      tf.dispose(Object.values(outputs)); // an after-tap failed, so nobody gets them
      throw error;
    });
  }

  private runOf(pass: Pass, index: number, inputs: Tensors): BlockRun {
    const { store, hooks } = this;
    const block = this.model.blocks[index] as Block;
    const names = this.namesOf(block);
    const read = (local: string) => store.readStored(names[local] as string, pass.view);
    const trainable = pass.gradient ? this.trainableOf(block) : [];
    const isAboveTrained = pass.gradient && index > this.lowestTrained();
    return { block, pass, inputs, source: { store, hooks, names, read }, trainable, isAboveTrained };
  }

  /** Hands over what no block below uses: a parameter of several blocks once, summed, when the lowest is done. */
  private handOver(sums: Map<string, tf.Tensor>, index: number): void {
    const below = this.model.blocks
      .slice(0, index)
      .flatMap((block) => this.trainableOf(block).map((local) => this.namesOf(block)[local]));
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

  private namesOf(block: Block): Readonly<Record<string, string>> {
    return { ...block.parameters, ...this.extras.get(block.name) };
  }

  /** Local names. */
  private trainableOf(block: Block): string[] {
    const isTrainable = ([, name]: [string, string]) => this.store.isTrainable(name);
    return Object.entries(this.namesOf(block))
      .filter(isTrainable)
      .map(([local]) => local);
  }

  /** Index of the lowest block that trains anything: below it there is nothing to differentiate. */
  private lowestTrained(): number {
    return this.model.blocks.findIndex((block) => this.trainableOf(block).length > 0);
  }
}

function disposeKept(kept: Kept | undefined): void {
  kept?.hidden?.dispose();
  tf.dispose([...(kept?.residuals ?? []), ...Object.values(kept?.reference ?? {})]);
}

function isDivergence(name: OutputName): boolean {
  return divergenceNames.some((divergence) => divergence === name);
}

/**
 * The gradients of a pass's differentiated outputs, one after the other, each `[targets]`, zeros where there is none;
 * takes ownership. Throws LOSS_UNDIFFERENTIATED.
 */
function joined(gradients: OutputGradients, pass: Pass, targets: number): tf.Tensor {
  const names: readonly OutputName[] = differentiatedBy(pass);
  const output = (Object.keys(gradients) as OutputName[]).find((name) => !names.includes(name));
  if (output !== undefined) {
    throw failure('LOSS_UNDIFFERENTIATED', { pass: pass.key, output, differentiated: names.join(', ') });
  }
  const each = names.map((name) => padTargets(gradients[name] ?? tf.zeros([pass.rows.targets.label.length]), targets));
  if (each.length === 1) return each[0] as tf.Tensor;
  const all = tf.concat(each);
  tf.dispose(each);
  return all;
}

/** What the head compares with. */
function referenceInputs({ kind }: Block, { reference, rows }: Pass): Tensors {
  if (kind !== 'head' || reference === undefined) return {};
  const referenceStates = padTargets(tf.clone(reference.states), rows.targets.label.length);
  return { referenceStates, referenceHeadWeight: tf.clone(reference.headWeight) };
}

/** Adds to a sum by name; takes ownership of `value`. */
function addTo(sums: Map<string, tf.Tensor>, name: string, value: tf.Tensor): void {
  const before = sums.get(name);
  sums.set(name, before === undefined ? value : tf.add(before, value));
  if (before !== undefined) tf.dispose([before, value]);
}

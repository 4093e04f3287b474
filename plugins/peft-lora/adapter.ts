import type { Model, ParameterSpec } from 'mooring';
import type { AdapterConfig } from './folder/config.ts';
import { type AdapterLayout, keysOf, type LoraTarget, resolveTargets, type SavedParameter } from './folder/targets.ts';

/** A parameter of an adapter: an input of one block. */
export interface AdapterParameter {
  readonly block: string;
  /** By which taps read it: without the layer's name, so that equal layers are equal functions. */
  readonly local: string;
  readonly spec: ParameterSpec;
  /** In PEFT's file, less the prefix. */
  readonly key: string;
}

/** A module that carries LoRA, with the local names of what it reads. */
export interface LoraModule extends LoraTarget {
  readonly a: AdapterParameter;
  readonly b: AdapterParameter;
  /** DoRA's, `[outputs]`. */
  readonly magnitude?: AdapterParameter;
  /** Local name of the bias in use. */
  readonly bias: string | undefined;
  /** Heads read their weight as a whole: LoRA is then in the weight, not in the output. */
  readonly isInWeight: boolean;
}

/** A copy that stands in a base parameter's place. */
export interface Copy extends SavedParameter {
  readonly own: AdapterParameter;
}

/** An adapter as a model carries it. */
export interface LoraAdapter {
  readonly name: string;
  readonly config: AdapterConfig;
  readonly layout: AdapterLayout;
  /** By `placeOf(block, module)` and `placeOf(block, parameter)`. */
  readonly modules: ReadonlyMap<string, LoraModule>;
  readonly copies: ReadonlyMap<string, Copy>;
  readonly parameters: readonly AdapterParameter[];
}

/** A module or parameter of a block. */
export const placeOf = (block: string, name: string) => `${block}/${name}`;

/**
 * Finds where an adapter sits in a model. Its parameters are named `<adapter>/<PEFT's key>`. `stored` are the keys of its
 * file, where it has one: a weight that PEFT saved beside the adapter takes the base's place. Throws what `resolveTargets` does.
 */
export function placeAdapter(
  name: string,
  config: AdapterConfig,
  model: Model,
  stored: ReadonlySet<string> = new Set(),
): LoraAdapter {
  const layout = resolveTargets(config, model);
  const isDecayed = new Map(model.parameters.map((spec) => [spec.name, spec.isDecayed]));
  const parameters: AdapterParameter[] = [];
  const add = (block: string, local: string, key: string, shape: readonly number[], decays = true) => {
    const spec = { name: `${name}/${key}`, shape, isDecayed: decays };
    const parameter: AdapterParameter = { block, local: `${name}/${local}`, key, spec };
    parameters.push(parameter);
    return parameter;
  };
  const replaced = [...layout.saved, ...layout.baseCopies.filter(({ key }) => stored.has(key))];
  const copies = replaced.map((saved): [string, Copy] => {
    const { block, local, key, shape, parameter } = saved;
    return [placeOf(block, parameter), { ...saved, own: add(block, local, key, shape, isDecayed.get(parameter)) }];
  });
  const copyOf = new Map(copies);
  const blocks = new Map(model.blocks.map((block) => [block.name, block]));
  const modules = layout.targets.map((target): [string, LoraModule] => {
    const { block, module, inputs, outputs, r } = target;
    const keys = keysOf(target);
    const owner = blocks.get(block);
    const bias = owner?.modules[module]?.bias;
    const copied = bias === undefined ? undefined : copyOf.get(placeOf(block, owner?.parameters[bias] as string));
    const placed: LoraModule = {
      ...target,
      a: add(block, `${module}.A`, keys.a, [r, inputs]),
      b: add(block, `${module}.B`, keys.b, [outputs, r]),
      ...(config.dora ? { magnitude: add(block, `${module}.magnitude`, keys.magnitude, [outputs]) } : {}),
      bias: copied?.own.local ?? bias,
      isInWeight: owner?.kind === 'head',
    };
    return [placeOf(block, module), placed];
  });
  return { name, config, layout, modules: new Map(modules), copies: copyOf, parameters };
}

/** The name of the block input that holds a module's dropout mask. */
export const maskOf = ({ name }: LoraAdapter, module: string) => `dropout of ${name}/${module}`;

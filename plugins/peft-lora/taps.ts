import type { Tensor } from '@tensorflow/tfjs';
import { type ParameterRead, type Projection, takeRows } from 'mooring';
import { maskOf, placeOf } from './adapter.ts';
import { weightWithLora, withLora } from './lora.ts';
import type { AdapterSet } from './set.ts';

/** The output of a module with the adapter of the pass's variant; `undefined` where it has none here. Pure. */
export function adaptProjection(set: AdapterSet, output: Tensor, projection: Projection): Tensor | undefined {
  const { block, name, input, source, inputs, weight, variant, read } = projection;
  const adapter = set.of(variant);
  const module = adapter?.modules.get(placeOf(block.name, name));
  if (adapter === undefined || module === undefined || module.isInWeight) return undefined;
  const whole = inputs[maskOf(adapter, name)];
  const mask = whole === undefined || source === undefined ? whole : takeRows(whole, source);
  return withLora(module, { output, input, mask, weight }, read);
}

/** A parameter as the adapter of the pass's variant has it: its copy, or the weight of a head with LoRA in it. Pure. */
export function adaptParameter(set: AdapterSet, value: Tensor, { block, parameter, variant, read }: ParameterRead) {
  const adapter = set.of(variant);
  if (adapter === undefined) return undefined;
  const copy = adapter.copies.get(placeOf(block.name, parameter.name));
  const whole = copy === undefined ? value : read(copy.own.local);
  const module = [...adapter.modules.values()].find(
    (each) => each.isInWeight && each.block === block.name && each.weight === parameter.name,
  );
  if (module !== undefined) return weightWithLora(module, whole, read);
  return copy === undefined ? undefined : whole;
}

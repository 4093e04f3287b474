import * as tf from '@tensorflow/tfjs';
import { type Block, dropoutMask, type Model, type Pass, type Tensors } from 'mooring';
import { maskOf, placeOf } from './adapter.ts';
import type { AdapterSet } from './set.ts';

/** Sites below are the model's own. */
const firstSite = 64;

/** A model whose blocks get masks for the inputs of modules that carry LoRA with dropout, beside the model's own. */
export function withMasks(inner: Model, set: AdapterSet): Model {
  return {
    ...inner,
    dropoutMasks: (block, pass) => ({ ...inner.dropoutMasks(block, pass), ...masksOf(inner, set, block, pass) }),
  };
}

function masksOf({ blocks }: Model, set: AdapterSet, block: Block, { dropout, rows, variant }: Pass): Tensors {
  const adapter = set.of(variant);
  if (dropout === undefined || adapter === undefined || adapter.config.dropout === 0) return {};
  const layer = blocks.indexOf(block);
  const masks = Object.keys(block.modules).flatMap((name, index) => {
    const module = adapter.modules.get(placeOf(block.name, name));
    if (module === undefined || module.kind === 'embedding') return [];
    const place = { firstRow: rows.firstRow, layer, site: firstSite + index };
    const values = dropoutMask(dropout, place, [rows.batch, rows.time, module.inputs], adapter.config.dropout);
    return [[maskOf(adapter, name), tf.tensor(values, [rows.batch * rows.time, module.inputs])] as const];
  });
  return Object.fromEntries(masks);
}

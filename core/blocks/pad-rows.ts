import * as tf from '@tensorflow/tfjs';
import type { Tensors } from '../model.ts';
import type { Fork, Rows } from '../rows.ts';

/** What padded rows have at least; of a row that does not fork `branch` is the length. */
export interface LeastShape extends Partial<Fork> {
  readonly batch?: number | undefined;
  readonly targets?: number | undefined;
}

/** Rows with longer trunks and branches, more rows and more targets, none of which is read. */
export function padRows(rows: Rows, least: LeastShape): Rows {
  const from = forkOf(rows);
  const longer = (length: number, wanted = 0) => Math.max(length, wanted);
  const trunk = rows.fork === undefined ? 0 : longer(from.trunk, least.trunk);
  const to = { ...from, trunk, branch: longer(from.branch, least.branch) };
  const time = to.trunk + to.branches * to.branch;
  const batch = longer(rows.batch, least.batch);
  const place = (at: number) => {
    const inRow = at % rows.time;
    const begin = Math.floor(at / rows.time) * time;
    if (inRow < from.trunk) return begin + inRow;
    const inBranches = inRow - from.trunk;
    return begin + to.trunk + Math.floor(inBranches / from.branch) * to.branch + (inBranches % from.branch);
  };
  const ids = new Int32Array(batch * time);
  const mask = new Int32Array(batch * time);
  rows.ids.forEach((id, at) => {
    ids[place(at)] = id;
    mask[place(at)] = rows.mask[at] as number;
  });
  // added rows are as long as the first: without tokens they would have padding before branches, with all they could be too long
  for (let row = rows.batch; row < batch; row++) mask.copyWithin(row * time, 0, time);
  const { source, label, row, position } = rows.targets;
  const more = (values: Int32Array) => {
    const all = new Int32Array(longer(values.length, least.targets));
    all.set(values);
    return all;
  };
  const targets = { source: more(source.map(place)), label: more(label), row: more(row), position: more(position) };
  return { ...rows, batch, time, fork: rows.fork && to, ids, mask, targets };
}

/** How rows fork; those that do not are a single branch. */
export function forkOf({ fork, time }: Rows): Fork {
  return fork ?? { trunk: 0, branches: 1, branch: time };
}

/** Outputs of padded rows without those of the targets that padding added; takes ownership. */
export function cutTargets(outputs: Tensors, count: number): Tensors {
  const cut = (name: string, tensor: tf.Tensor) => {
    if (name === 'headWeight' || tensor.shape[0] === count) return tensor;
    const first = tf.slice(tensor, 0, count);
    tensor.dispose();
    return first;
  };
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, cut(name, tensor)]));
}

/** What belongs to targets, `[targets, ...]`, with zeros for those that padding added; takes ownership. */
export function padTargets(values: tf.Tensor, count: number): tf.Tensor {
  const [targets, ...rest] = values.shape as [number, ...number[]];
  if (targets === count) return values;
  const padded = tf.pad(values, [[0, count - targets], ...rest.map((): [number, number] => [0, 0])]);
  values.dispose();
  return padded;
}

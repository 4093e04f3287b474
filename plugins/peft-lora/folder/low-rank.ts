import type { ModuleSpec } from 'mooring';
import type { Adapter, AdapterTensor } from './adapter.ts';
import { patternValue } from './match-names.ts';
import { keysOf } from './targets.ts';

/** What an adapter adds to one module: `scaling * B A`, and with DoRA the magnitudes of the outputs. */
export interface LowRank {
  readonly name: string;
  readonly kind: ModuleSpec['kind'];
  /** `[r, inputs]` */
  readonly a: AdapterTensor;
  /** `[outputs, r]` */
  readonly b: AdapterTensor;
  readonly scaling: number;
  /** `[outputs]` */
  readonly magnitude?: AdapterTensor | undefined;
}

/** The modules of an adapter, by name, from its keys alone: no model is needed. Ranks are those of the tensors. */
export function lowRanksOf({ config, tensors }: Adapter): ReadonlyMap<string, LowRank> {
  const found = new Map<string, LowRank>();
  for (const [key, a] of tensors) {
    const [, name, suffix] = /^(.*)\.lora_(A\.weight|embedding_A)$/.exec(key) ?? [];
    if (name === undefined) continue;
    const kind = suffix === 'embedding_A' ? 'embedding' : 'linear';
    const keys = keysOf({ name, kind });
    const b = tensors.get(keys.b);
    if (b === undefined) continue;
    const r = a.shape[0] ?? 1;
    const scaling = patternValue(config.alphaPattern, name, config.alpha) / (config.rslora ? Math.sqrt(r) : r);
    found.set(name, { name, kind, a, b, scaling, magnitude: tensors.get(keys.magnitude) });
  }
  return found;
}

/**
 * The update `scaling * B A` row by row as the weight lies in memory: a row for each output, or for each input where the
 * layout is `in,out`. Sums are in double precision. The row is one array, written anew each time.
 */
export function* updateRows({ a, b, scaling }: LowRank, layout: ModuleSpec['layout']): Generator<Float64Array> {
  const [r = 0, inputs = 0] = a.shape;
  const [outputs = 0] = b.shape;
  const isByOutput = layout === 'out,in';
  const [left, right] = isByOutput ? [b.values, a.values] : [transposed(a), transposed(b)];
  const [rows, width] = isByOutput ? [outputs, inputs] : [inputs, outputs];
  const row = new Float64Array(width);
  const none = new Float32Array(width);
  const band = (k: number) => (k < r ? right.subarray(k * width, (k + 1) * width) : none);
  for (let at = 0; at < rows; at++) {
    row.fill(0);
    const factor = (k: number) => (k < r ? scaling * (left[at * r + k] as number) : 0);
    // four at a time take a third of the time that one at a time takes
    for (let k = 0; k < r; k += 4) {
      const factors = [factor(k), factor(k + 1), factor(k + 2), factor(k + 3)] as const;
      addScaled(row, factors, [band(k), band(k + 1), band(k + 2), band(k + 3)]);
    }
    yield row;
  }
}

/**
 * The weight of a module with its adapter in it, in float32: `W + scaling * B A`, and with DoRA each output of that scaled
 * to its magnitude (Liu et al. 2024, equation 5). `weight` stays as it is.
 */
export function mergedWeight(weight: Float32Array, update: LowRank, layout: ModuleSpec['layout']): Float32Array {
  const merged = new Float32Array(weight.length);
  let at = 0;
  for (const row of updateRows(update, layout)) {
    for (let column = 0; column < row.length; column++, at++) {
      merged[at] = (weight[at] as number) + (row[column] as number);
    }
  }
  if (update.magnitude !== undefined) scaleOutputs(merged, update.magnitude.values, layout);
  return merged;
}

/** Norm of each output of a weight, over its inputs. */
export function outputNorms(weight: Float32Array, outputs: number, layout: ModuleSpec['layout']): Float64Array {
  const inputs = weight.length / outputs;
  const squares = new Float64Array(outputs);
  weight.forEach((value, at) => {
    const output = layout === 'out,in' ? Math.floor(at / inputs) : at % outputs;
    squares[output] = (squares[output] as number) + value * value;
  });
  return squares.map(Math.sqrt);
}

function scaleOutputs(weight: Float32Array, magnitude: Float32Array, layout: ModuleSpec['layout']): void {
  const outputs = magnitude.length;
  const inputs = weight.length / outputs;
  const norms = outputNorms(weight, outputs, layout);
  for (let at = 0; at < weight.length; at++) {
    const output = layout === 'out,in' ? Math.floor(at / inputs) : at % outputs;
    weight[at] = ((weight[at] as number) * (magnitude[output] as number)) / (norms[output] as number);
  }
}

type Four<Each> = readonly [Each, Each, Each, Each];

function addScaled(row: Float64Array, [f, g, h, i]: Four<number>, [a, b, c, d]: Four<Float32Array>): void {
  for (let at = 0; at < row.length; at++) {
    const first = f * (a[at] as number) + g * (b[at] as number);
    const second = h * (c[at] as number) + i * (d[at] as number);
    row[at] = (row[at] as number) + first + second;
  }
}

/** `[rows, columns]` to `[columns, rows]`. */
function transposed({ shape, values }: AdapterTensor): Float32Array {
  const [rows = 0, columns = 0] = shape;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column] as number;
  }
  return turned;
}

import { type Adapter, readAdapter } from '../folder/adapter.ts';
import type { AdapterConfig } from '../folder/config.ts';
import { failure } from '../folder/errors.ts';
import { type LowRank, lowRanksOf, updateRows } from '../folder/low-rank.ts';

/** Frobenius norms of what two adapters add to a module, and of the difference. */
export interface ModuleDifference {
  readonly first: number;
  readonly second: number;
  readonly difference: number;
}

/** What `mooring adapter diff` says. */
export interface AdapterDifference {
  /** Settings that differ, each of the first and of the second. */
  readonly config: Readonly<Record<string, readonly [unknown, unknown]>>;
  /** Of `scaling * B A`, by module; an adapter without the module adds 0. */
  readonly modules: Readonly<Record<string, ModuleDifference>>;
  /** Of the tensors beside them, by key: magnitudes, biases, whole modules. */
  readonly tensors: Readonly<Record<string, ModuleDifference>>;
}

/**
 * Compares what two PEFT folders add to a base, whatever their ranks and factors. Throws what `readAdapter` throws, and
 * ADAPTERS_INCOMPARABLE for modules of other shapes.
 */
export async function compareAdapters(first: string, second: string): Promise<AdapterDifference> {
  const [one, other] = [await readAdapter(first), await readAdapter(second)];
  const [updates, others] = [lowRanksOf(one), lowRanksOf(other)];
  const names = [...new Set([...updates.keys(), ...others.keys()])].sort();
  const modules = names.map((name) => {
    const rows = [updates.get(name), others.get(name)].map((update) => update && updateRows(update, 'out,in'));
    if (shapeOf(updates.get(name)) !== shapeOf(others.get(name)) && rows.every((each) => each !== undefined)) {
      throw failure('ADAPTERS_INCOMPARABLE', {
        key: name,
        first: shapeOf(updates.get(name)),
        second: shapeOf(others.get(name)),
      });
    }
    return [name, normsOf(rows[0], rows[1])] as const;
  });
  const keys = [...new Set([...besides(one), ...besides(other)])].sort();
  const tensors = keys.map((key) => {
    const [a, b] = [one.tensors.get(key), other.tensors.get(key)];
    if (a !== undefined && b !== undefined && a.shape.join() !== b.shape.join()) {
      throw failure('ADAPTERS_INCOMPARABLE', { key, first: a.shape.join(', '), second: b.shape.join(', ') });
    }
    return [key, normsOf(a && [a.values].values(), b && [b.values].values())] as const;
  });
  return {
    config: differingSettings(one.config, other.config),
    modules: Object.fromEntries(modules),
    tensors: Object.fromEntries(tensors),
  };
}

/** The comparison for people. */
export function formatDifference({ config, modules, tensors }: AdapterDifference): string {
  const settings = Object.entries(config).map(([name, [one, other]]) => `${name}: ${shown(one)}, ${shown(other)}\n`);
  const all = Object.entries({ ...modules, ...tensors });
  const width = Math.max(0, ...all.map(([name]) => name.length));
  const numbers = (each: ModuleDifference) => [each.first, each.second, each.difference];
  const lines = all.map(([name, each]) => `${name.padEnd(width)}${numbers(each).map(cell).join('')}\n`);
  const head = `${''.padEnd(width)}${['first', 'second', 'difference'].map((each) => each.padStart(13)).join('')}\n`;
  const isSame = all.every(([, { difference }]) => difference === 0);
  const verdict = isSame ? 'They add the same.\n' : '';
  return `${settings.join('')}${all.length > 0 ? head : ''}${lines.join('')}${verdict}`;
}

/** Tensors that are no factor of a product. */
function besides({ tensors }: Adapter): string[] {
  return [...tensors.keys()].filter((key) => !/\.lora_(A\.weight|B\.weight|embedding_A|embedding_B)$/.test(key));
}

function shapeOf(update: LowRank | undefined): string {
  return [update?.b.shape[0], update?.a.shape[1]].join(', ');
}

/** Sums squares in double precision over rows of both, side by side: equal values differ by exactly 0. */
function normsOf(first?: Iterator<Row>, second?: Iterator<Row>): ModuleDifference {
  const squares = { first: 0, second: 0, difference: 0 };
  for (;;) {
    const [one, other] = [rowOf(first), rowOf(second)];
    const length = (one ?? other)?.length;
    if (length === undefined) break;
    const none = one === undefined || other === undefined ? new Float64Array(length) : undefined;
    addSquares(squares, (one ?? none) as Row, (other ?? none) as Row);
  }
  const { first: a, second: b, difference } = squares;
  return { first: Math.sqrt(a), second: Math.sqrt(b), difference: Math.sqrt(difference) };
}

type Row = Float64Array | Float32Array;

function addSquares(squares: { first: number; second: number; difference: number }, one: Row, other: Row): void {
  let [first, second, difference] = [0, 0, 0];
  for (let at = 0; at < one.length; at++) {
    const [a, b] = [one[at] as number, other[at] as number];
    first += a * a;
    second += b * b;
    difference += (a - b) * (a - b);
  }
  squares.first += first;
  squares.second += second;
  squares.difference += difference;
}

function rowOf(rows: Iterator<Row> | undefined): Row | undefined {
  const next = rows?.next();
  return next === undefined || next.done ? undefined : next.value;
}

function differingSettings(one: AdapterConfig, other: AdapterConfig): Record<string, readonly [unknown, unknown]> {
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])] as (keyof AdapterConfig)[];
  const normal = (value: unknown) => JSON.stringify(Array.isArray(value) ? value.toSorted() : value);
  const differing = names.filter((name) => normal(one[name]) !== normal(other[name]));
  return Object.fromEntries(differing.map((name) => [name, [one[name], other[name]] as const]));
}

function shown(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value);
}

function cell(value: number): string {
  return value.toPrecision(6).padStart(13);
}

import type { Adapter } from './adapter.ts';
import type { AdapterConfig } from './config.ts';
import { failure } from './errors.ts';
import { nearestNames } from './nearest-names.ts';
import { type AdapterLayout, keysOf } from './targets.ts';

/** Shapes by key of all that a PEFT file of this layout must hold. */
export function expectedTensors({ targets, saved }: AdapterLayout, dora: boolean): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const target of targets) {
    const { a, b, magnitude } = keysOf(target);
    shapes.set(a, [target.r, target.inputs]);
    shapes.set(b, [target.outputs, target.r]);
    if (dora) shapes.set(magnitude, [target.outputs]);
  }
  for (const { key, shape } of saved) shapes.set(key, shape);
  return shapes;
}

/**
 * Refuses an adapter whose tensors are not those of the layout, each in its shape: PEFT would leave out in silence what
 * it cannot place. `file` is for the message. Throws ADAPTER_KEY_UNMATCHED, ADAPTER_KEY_MISSING, ADAPTER_TENSOR_MISSHAPEN.
 */
export function checkAdapter({ config, tensors }: Adapter, layout: AdapterLayout, file: string): void {
  const expected = expectedTensors(layout, config.dora);
  const optional = new Map(layout.baseCopies.map(({ key, shape }) => [key, shape]));
  for (const key of tensors.keys()) {
    if (expected.has(key) || optional.has(key)) continue;
    const missing = [...expected.keys()].filter((each) => !tensors.has(each));
    const nearest = nearestNames(key, missing.length > 0 ? missing : [...expected.keys()]);
    throw failure('ADAPTER_KEY_UNMATCHED', {
      file,
      key,
      nearest,
      base: config.base ?? 'which its config does not name',
    });
  }
  for (const key of expected.keys()) {
    if (tensors.has(key)) continue;
    throw failure('ADAPTER_KEY_MISSING', { file, key, nearest: nearestNames(key, [...tensors.keys()]) });
  }
  for (const [key, { shape }] of tensors) {
    const [actual, right] = [shape.join(', '), (expected.get(key) ?? optional.get(key))?.join(', ') ?? ''];
    if (actual !== right) throw failure('ADAPTER_TENSOR_MISSHAPEN', { file, key, actual, expected: right });
  }
}

/** Refuses an adapter that was trained over a base that its initialisation changed, and not converted. Throws ADAPTER_BASE_CHANGED. */
export function refuseChangedBase({ initLoraWeights: init }: AdapterConfig, folder: string): void {
  if (typeof init === 'string' && init.startsWith('pissa')) throw failure('ADAPTER_BASE_CHANGED', { folder, init });
}

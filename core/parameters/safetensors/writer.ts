import { writeFileAside } from '../writeAside.ts';
import type { Values } from './dtype.ts';
import { failure } from './errors.ts';
import { encode, layOut, type TensorSpec } from './layout.ts';

/** What a file says of itself where nothing else is said: transformers asks for it. */
export const usualMetadata: Readonly<Record<string, string>> = { format: 'pt' };

/**
 * Writes a safetensors file: its header from `specs`, then one tensor after another, each asked of `read` when its turn
 * comes, whole or in pieces. Values are rounded to nearest, ties to even. Order and bytes are those of the safetensors
 * library, whatever the order of `specs`. Throws `DISK_FULL` or `WRITE_FAILED`, an older file intact, and
 * `SAFETENSORS_VALUES_MISFIT`.
 */
export async function writeSafetensors(
  file: string,
  specs: readonly TensorSpec[],
  read: (name: string) => Values | Promise<Values> | AsyncIterable<Values>,
  metadata = usualMetadata,
): Promise<void> {
  const { header, tensors } = layOut(specs, metadata);
  await writeFileAside(file, async (handle) => {
    await handle.writeFile(header);
    for (const tensor of tensors) {
      const given = await read(tensor.name);
      let count = 0;
      let isInteger = false;
      for await (const values of Symbol.asyncIterator in given ? given : [given]) {
        for (const bytes of encode(tensor.dtype, values)) await handle.writeFile(bytes);
        count += values.length;
        isInteger ||= values instanceof Int32Array;
      }
      refuseMisfit(file, tensor, tensor.elements, { count, isInteger });
    }
  });
}

/** Throws SAFETENSORS_VALUES_MISFIT where other values came than the `expected` ones of a tensor. */
export function refuseMisfit(
  file: string,
  { name, dtype, shape }: TensorSpec,
  expected: number,
  { count, isInteger }: { readonly count: number; readonly isInteger: boolean },
): void {
  if (count === expected && isInteger === (dtype === 'int32')) return;
  const kind = isInteger ? 'int32' : 'float32';
  throw failure('SAFETENSORS_VALUES_MISFIT', { file, tensor: name, dtype, shape: shape.join(', '), count, kind });
}

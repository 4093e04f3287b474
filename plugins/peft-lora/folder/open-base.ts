import { openWeights } from 'mooring';
import { failure } from './errors.ts';
import { nearestNames } from './nearest-names.ts';
import type { TargetModel } from './targets.ts';

/** The weights of a base in its folder, by the model's names. */
export interface Base {
  /** A parameter's name in the files, which may lack the family's prefix (`transformer.`). */
  storedName(parameter: string): string;
  storedDtype(parameter: string): 'float32' | 'bfloat16' | 'float16';
  /** One parameter's value, widened to float32. */
  read(parameter: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens the weights of a Hugging Face folder and checks that every parameter is there in its shape. Nothing is read yet.
 * Throws ADAPTER_BASE_LACKS, ADAPTER_BASE_INTEGER and the errors of safetensors files.
 */
export async function openBase(folder: string, { parameters }: TargetModel): Promise<Base> {
  const source = await openWeights(folder);
  const stored = [...source.entries.keys()];
  const names = new Map<string, string>();
  try {
    for (const { name, shape } of parameters) {
      const found = source.entries.has(name) ? name : stored.find((each) => name.endsWith(`.${each}`));
      if (found === undefined || source.entries.get(found)?.shape.join() !== shape.join()) {
        const expected = `${name} [${shape.join(', ')}]`;
        throw failure('ADAPTER_BASE_LACKS', { folder, expected, nearest: nearestNames(name, stored) });
      }
      names.set(name, found);
    }
  } catch (error) {
    await source.close();
    throw error;
  }
  const storedName = (parameter: string) => names.get(parameter) as string;
  return {
    storedName,
    storedDtype(parameter) {
      const dtype = source.entries.get(storedName(parameter))?.dtype;
      return dtype === 'BF16' ? 'bfloat16' : dtype === 'F16' ? 'float16' : 'float32';
    },
    async read(parameter) {
      const values = await source.readTensor(storedName(parameter));
      if (values instanceof Int32Array) throw failure('ADAPTER_BASE_INTEGER', { folder, name: parameter });
      return values;
    },
    close: () => source.close(),
  };
}

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../errors.ts';
import { cacheFolder } from './cache.ts';
import type { Progress } from './progress.ts';
import { run } from './run.ts';
import { downloadTensorflow, tensorflowVersion } from './wheel.ts';

/** TensorFlow's shared libraries and headers somewhere on this machine. */
export interface Libtensorflow {
  /** Where it came from, in words. */
  readonly source: string;
  /** The two libraries, absolute, in one folder. */
  readonly libraries: readonly [main: string, framework: string];
  /** The folder with `tensorflow/c/c_api.h`. */
  readonly include: string;
}

/** What finding needs to know. */
export interface FindOptions {
  readonly gpu: boolean;
  readonly python: string;
  readonly log: (line: string) => void;
  readonly progress?: Progress | undefined;
}

/**
 * Finds TensorFlow's libraries: `MOORING_LIBTENSORFLOW`, else an installed Python package, else the per-user cache, else
 * the wheel, which pip downloads into the cache. Throws `ENGINE_LIBTENSORFLOW` and what downloading throws.
 */
export async function findLibtensorflow(options: FindOptions): Promise<Libtensorflow> {
  const folder = process.env.MOORING_LIBTENSORFLOW;
  if (folder) {
    const found = inspect(folder);
    if (typeof found === 'string') throw failure('ENGINE_LIBTENSORFLOW', { folder, missing: found });
    return { source: `MOORING_LIBTENSORFLOW, ${folder}`, ...found };
  }

  const package_ = await pythonPackage(options);
  const installed = package_ && inspect(package_);
  if (package_ && typeof installed === 'object') return { source: `the Python package in ${package_}`, ...installed };

  const cached = cachedTensorflow(options.gpu);
  if (typeof inspect(cached) === 'string') {
    options.log(`Downloading TensorFlow ${tensorflowVersion} with pip, once for this user.`);
    await downloadTensorflow(cached, options);
  }
  const found = inspect(cached);
  if (typeof found === 'string')
    throw failure('ENGINE_UNPACK', { file: cached, folder: cached, reason: `${found} is missing` });
  return { source: `the PyPI wheel of TensorFlow ${tensorflowVersion}`, ...found };
}

/** The folder of the cache that holds the wheel's libraries and headers. */
export function cachedTensorflow(gpu: boolean): string {
  const name = [tensorflowVersion, process.platform, process.arch, gpu ? 'gpu' : 'cpu'].join('-');
  return join(cacheFolder(), 'libtensorflow', name);
}

/** Looks for libraries and headers as a Python package or a C distribution has them; returns the name of what is missing. */
function inspect(folder: string): Omit<Libtensorflow, 'source'> | string {
  const [suffix, first] = process.platform === 'darwin' ? ['.2.dylib', '.dylib'] : ['.so.2', '.so'];
  const libraries = [folder, join(folder, 'lib')];
  const find = (...names: string[]) =>
    libraries.flatMap((place) => names.map((name) => join(place, name))).find((path) => existsSync(path));
  const main = find(`libtensorflow_cc${suffix}`, `libtensorflow${suffix}`, `libtensorflow${first}`);
  if (main === undefined) return `libtensorflow_cc${suffix}`;
  const framework = find(`libtensorflow_framework${suffix}`);
  if (framework === undefined) return `libtensorflow_framework${suffix}`;
  const include = [join(folder, 'include'), join(dirname(folder), 'include')].find((place) =>
    existsSync(join(place, 'tensorflow/c/eager/c_api.h')),
  );
  return include === undefined ? 'include/tensorflow/c/eager/c_api.h' : { libraries: [main, framework], include };
}

/** Prints the folder of an installed TensorFlow without importing it, which would take seconds, and its distribution. */
const findScript = `
import importlib.metadata, importlib.util, json, os, sys
sys.path = [place for place in sys.path if place]  # not the working directory
spec = importlib.util.find_spec('tensorflow')
names = importlib.metadata.packages_distributions().get('tensorflow', []) if hasattr(importlib.metadata, 'packages_distributions') else []
print(json.dumps({'folder': os.path.dirname(spec.origin), 'names': names}) if spec and spec.origin else 'null')
`;

/** A Python package without CUDA kernels does not do for the GPU. */
async function pythonPackage({ gpu, python }: FindOptions): Promise<string | undefined> {
  const finished = await run(python, ['-c', findScript]);
  if (finished.code !== 0) return undefined;
  const found = JSON.parse(finished.stdout) as { folder: string; names: string[] } | null;
  if (found === null || (gpu && found.names.includes('tensorflow-cpu'))) return undefined;
  return found.folder;
}

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { bindingRevision } from './mend.ts';

/** The release of `@tensorflow/tfjs-node-gpu` whose binding is compiled; it must equal that of `@tensorflow/tfjs`. */
export const tfjsNodeVersion = '4.22.0';

/** An engine in the cache, as `current.json` describes it. */
export interface InstalledEngine {
  /** Folder name under `builds/`. */
  readonly build: string;
  readonly tensorflow: string;
  readonly gpu: boolean;
  /** Where libtensorflow came from, in words. */
  readonly source: string;
  readonly installedAt: string;
  /** How its binding was compiled: `bindingRevision`. */
  readonly binding: number;
}

/** The per-user cache: `MOORING_CACHE`, else what the platform prescribes. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.MOORING_CACHE) return environment.MOORING_CACHE;
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'mooring');
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mooring');
}

/**
 * Where the engines of this platform live. The binding uses only Node-API, so one serves all Node versions.
 * Everything in it is written aside and renamed into place: readers need no lock.
 */
export function engineFolder(cache = cacheFolder()): string {
  return join(cache, 'engine', `${tfjsNodeVersion}-${process.platform}-${process.arch}`);
}

/** The folder of a build, which holds a `node_modules`. */
export function buildFolder(engine: Pick<InstalledEngine, 'build'>, folder = engineFolder()): string {
  return join(folder, 'builds', engine.build);
}

/** Where a build keeps tfjs-node-gpu. */
export function packageFolder(build: string): string {
  return join(build, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
}

/**
 * The engine in use, if there is one. What cannot be read, was compiled otherwise than now, or was linked to libraries that
 * have gone, counts as none: installing replaces it.
 */
export function readInstalled(folder = engineFolder()): InstalledEngine | undefined {
  const installed = readCurrent(folder);
  if (installed?.binding !== bindingRevision) return undefined;
  const libraries = join(packageFolder(buildFolder(installed, folder)), 'deps', 'lib');
  return existsSync(libraries) ? installed : undefined;
}

/** The engine that was installed last, by whatever release: others than this may use it. */
export function readCurrent(folder = engineFolder()): InstalledEngine | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'current.json'), 'utf8')) as InstalledEngine;
  } catch {
    return undefined;
  }
}

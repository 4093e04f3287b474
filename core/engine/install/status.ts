import { MooringError } from '../../errors.ts';
import { buildFolder, cacheFolder, engineFolder, type InstalledEngine, readInstalled } from './cache.ts';
import { type Proof, prove } from './prove.ts';
import { folderBytes } from './wheel.ts';

/** What `mooring engine status` tells. */
export interface EngineStatus {
  readonly folder: string;
  /** Bytes of the whole cache. */
  readonly bytes: number;
  readonly installed: InstalledEngine | undefined;
  /** What the engine says of itself when it is tried, or why it does not run. */
  readonly proof: Proof | MooringError | undefined;
}

/** Looks at the installed engine and tries it, in a process of its own. */
export async function engineStatus(): Promise<EngineStatus> {
  const folder = engineFolder();
  const installed = readInstalled(folder);
  return { folder, bytes: await folderBytes(cacheFolder()), installed, proof: installed && (await attempt(installed)) };
}

async function attempt(installed: InstalledEngine): Promise<Proof | MooringError> {
  try {
    return await prove(buildFolder(installed));
  } catch (error) {
    if (error instanceof MooringError) return error;
    throw error;
  }
}

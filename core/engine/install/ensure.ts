import { MooringError } from '../../errors.ts';
import { readInstalled } from './cache.ts';
import { type InstallOptions, installEngine } from './install.ts';
import { progressBar } from './progress.ts';

/**
 * Sets up for `npm start` and `npm test`: installs the native engine unless it is there or `MOORING_ENGINE` asks for
 * another. Where that is impossible, one line says why, and the run goes on with wasm.
 */
export async function ensureEngine(options: InstallOptions = {}): Promise<void> {
  const wanted = process.env.MOORING_ENGINE || 'auto';
  if (readInstalled() !== undefined || !['auto', 'native'].includes(wanted)) return;
  const { log = console.warn } = options;
  const bar = progressBar();
  try {
    await installEngine({ progress: bar.progress, ...options, onlyIfMissing: true });
  } catch (error) {
    if (!(error instanceof MooringError)) throw error;
    log(`${error.entry.fact} Going on with the wasm engine, which is slower. ${error.entry.remedy}`);
  } finally {
    bar.stop();
  }
}

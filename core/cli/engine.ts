import { installEngine } from '../engine/install/install.ts';
import { progressBar } from '../engine/install/progress.ts';
import { engineStatus } from '../engine/install/status.ts';
import { MooringError } from '../errors.ts';
import type { Terminal } from './main.ts';

/** Installs the native engine, also over one that is there. */
export async function engineInstallCommand(gpu: boolean, terminal: Terminal): Promise<void> {
  const bar = progressBar();
  try {
    const { tensorflow, source } = await installEngine({
      gpu,
      progress: bar.progress,
      log: (line) => terminal.err(`${line}\n`),
    });
    terminal.out(`The native engine is installed: TensorFlow ${tensorflow}, from ${source}.\n`);
  } finally {
    bar.stop();
  }
}

/** Says which engine is installed, and whether it runs. Throws what is wrong with one that does not. */
export async function engineStatusCommand(terminal: Terminal): Promise<void> {
  const { folder, bytes, installed, proof } = await engineStatus();
  if (installed === undefined) {
    terminal.out(`The native engine is not installed, so that wasm is used; \`mooring engine install\` sets it up.\n`);
    return;
  }
  if (proof instanceof MooringError) throw proof;
  const { tensorflow, gpu, source, installedAt } = installed;
  terminal.out(
    [
      `The native engine works: TensorFlow ${tensorflow}${gpu ? ', with CUDA kernels' : ''}.`,
      `  from       ${source}`,
      `  installed  ${installedAt}`,
      `  folder     ${folder} (${Math.round(bytes / 1e6)} MB with what was downloaded)`,
      '',
    ].join('\n'),
  );
}

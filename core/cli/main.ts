import { CommanderError } from 'commander';
import { printError } from './print-error.ts';
import { buildProgram } from './program.ts';

/** Where the command line writes: results to `out`, everything else to `err`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

/**
 * Runs the command line and returns its exit code: 0 when all is well, 1 for an error that its message explains, 2 for
 * wrong usage, 130 or 143 for a run that a signal stopped after saving.
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(terminal, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has written its own message
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const isDebug = args.includes('--debug') || Boolean(process.env.MOORING_DEBUG);
    return printError(error, terminal, isDebug);
  }
}

function processTerminal(): Terminal {
  // a reader that has seen enough, such as head, is no error
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) };
}

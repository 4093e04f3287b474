import { CommanderError } from 'commander';
import { isThrownByAll } from '../collectives/together.ts';
import { currentRank, threadRank } from '../current-rank.ts';
import { exitCodeOf, printError } from './print-error.ts';
import { buildProgram } from './program.ts';

/** Where the command line writes: results to `out`, everything else to `err`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

/**
 * Runs the command line and returns its exit code: 0 when all is well, 1 for an error that its message explains, 2 for
 * wrong usage, 130 or 143 for a run that a signal stopped after saving. A rank in a thread of its own throws the error
 * instead, so that whoever started it hears of it; only the first rank writes results, and errors that all ranks throw.
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
    if (threadRank() !== undefined) throw error;
    // commander has written its own message
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // the first rank tells of it
    if (currentRank() > 0 && isThrownByAll(error)) return exitCodeOf(error);
    const isDebug = args.includes('--debug') || Boolean(process.env.MOORING_DEBUG);
    return printError(error, terminal, isDebug);
  }
}

function processTerminal(): Terminal {
  // a reader that has seen enough, such as head, is no error
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const out = (text: string) => void (currentRank() === 0 && process.stdout.write(text));
  return { out, err: (text) => void process.stderr.write(text) };
}

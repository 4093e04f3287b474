import { spawn } from 'node:child_process';

/** How a command ended. A command that cannot be started ends with code 127. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  /** Why it failed, in one line: the last line that it wrote, or how it died. */
  readonly reason: string;
}

/** Runs a command to its end without a shell. `onOutput` sees its stdout as it comes. */
export function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; onOutput?: (text: string) => void } = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: options.env ?? process.env,
      cwd: options.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      options.onOutput?.(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (error) => resolve({ code: 127, stdout, reason: error.message }));
    child.on('close', (code, signal) => {
      const end = signal ? `killed by ${signal}` : `exit code ${code}`;
      resolve({ code: code ?? 1, stdout, reason: tellingLine(stderr) ?? tellingLine(stdout) ?? end });
    });
  });
}

/** The first line that says "error", since compilers and pip explain afterwards, else the last line. */
function tellingLine(output: string): string | undefined {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  return lines.find((line) => /\berror\b/i.test(line)) ?? lines.at(-1);
}

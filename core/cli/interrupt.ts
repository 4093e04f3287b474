/** How a run was asked to stop. */
export interface Interruption {
  /** 0, or as shells count a signal: 130 for SIGINT, 143 for SIGTERM. */
  exitCode(): number;
  dispose(): void;
}

/** npm passes a Ctrl-C on to a process that the terminal has told already: what follows this soon is the same one. */
const sameKeypressMilliseconds = 500;

/**
 * On SIGINT (Ctrl-C) or SIGTERM asks a run to stop, which ends the step in progress and saves. On a second one ends the
 * process at once. The exit code tells scripts that the run was cut short, although what it saved is whole.
 */
export function stopOnSignal(
  requestStop: (reason: string) => void,
  {
    tell,
    now = () => performance.now(),
    endAtOnce = process.exit,
  }: { tell(line: string): void; now?: () => number; endAtOnce?: (code: number) => void },
): Interruption {
  let first: { readonly at: number; readonly code: number } | undefined;
  const asked = (name: string, code: number) => {
    if (first !== undefined) {
      if (now() - first.at >= sameKeypressMilliseconds) endAtOnce(code);
      return;
    }
    first = { at: now(), code };
    requestStop(name);
    tell(`${name}: stopping after this step, then saving; once more ends at once, without saving`);
  };
  const listeners = { SIGINT: () => asked('Ctrl-C', 130), SIGTERM: () => asked('SIGTERM', 143) } as const;
  process.on('SIGINT', listeners.SIGINT).on('SIGTERM', listeners.SIGTERM);
  return {
    exitCode: () => first?.code ?? 0,
    dispose: () => void process.off('SIGINT', listeners.SIGINT).off('SIGTERM', listeners.SIGTERM),
  };
}

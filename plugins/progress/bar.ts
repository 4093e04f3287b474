import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { Presets, SingleBar } from 'cli-progress';

/** What of a terminal a bar needs. */
export type Terminal = Pick<WriteStream, 'write' | 'isTTY' | 'columns' | 'cursorTo' | 'clearLine'> &
  NodeJS.WritableStream;

/**
 * Draws a bar of `steps` steps on a terminal, at the bottom: whatever else is written to it appears above.
 * `stop` leaves the bar as it is and the terminal to others; it may be called twice.
 */
export function drawBar(
  steps: number,
  terminal: Terminal = process.stderr,
): { show(step: number, line: string): void; stop(): void } {
  const write = terminal.write;
  // a cursor put back to where the bar began would stand above the lines written since
  const draw = (text: string) => isCursorMemory.test(text) || write.call(terminal, text);
  const own: Terminal = Object.create(terminal, { write: { value: draw } });
  const bar = new SingleBar(
    {
      stream: own,
      format: '{bar} {value}/{total}  {line}',
      barsize: 20,
      forceRedraw: true,
      linewrap: true, // or the terminal is left without, should the process be killed
      gracefulExit: false, // Ctrl-C is the run's
    },
    Presets.shades_classic,
  );
  bar.start(steps, 0, { line: 'first step' });
  terminal.write = (...others: unknown[]) => {
    clearLine(own, 0);
    cursorTo(own, 0);
    const isDrained: boolean = Reflect.apply(write, terminal, others);
    if (String(others[0]).endsWith('\n')) bar.render();
    return isDrained;
  };
  return {
    show: (step, line) => bar.update(step, { line }),
    stop() {
      if (!bar.isActive) return;
      bar.stop();
      terminal.write = write;
    },
  };
}

/** The sequences that save the cursor's place, ESC 7, and return to it, ESC 8. */
const isCursorMemory = new RegExp(`^${String.fromCharCode(27)}[78]$`);

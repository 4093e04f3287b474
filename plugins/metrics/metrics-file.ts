import { closeSync, openSync, writeSync } from 'node:fs';
import { failure } from './errors.ts';

/**
 * A file of one JSON object in each line. A line is in the hands of the operating system when `append` returns, so that
 * a killed process loses none. Throws METRICS_UNWRITABLE.
 */
export class MetricsFile {
  private readonly file: string;
  private readonly descriptor: number;

  constructor(file: string) {
    this.file = file;
    this.descriptor = this.attempt(() => openSync(file, 'a'));
  }

  /** Numbers are written so that reading them gives the same ones; those that are not finite as null, which JSON has no other word for. Returns the line. */
  append(figures: Readonly<Record<string, number>>): string {
    const text = `${JSON.stringify(figures)}\n`;
    const line = Buffer.from(text);
    let done = 0;
    while (done < line.length) done += this.attempt(() => writeSync(this.descriptor, line, done));
    return text;
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private attempt<Result>(operation: () => Result): Result {
    try {
      return operation();
    } catch (cause) {
      throw failure('METRICS_UNWRITABLE', { file: this.file, reason: (cause as Error).message }, { cause });
    }
  }
}

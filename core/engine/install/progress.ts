import { Presets, SingleBar } from 'cli-progress';

/** How far a step of the installation is, in bytes; the total may be unknown at first. */
export interface ProgressEvent {
  readonly step: string;
  readonly done: number;
  readonly total: number | undefined;
}

export type Progress = (event: ProgressEvent) => void;

/** A progress bar on the terminal; silent where stderr is none. `stop` clears it away. */
export function progressBar(): { progress: Progress; stop: () => void } {
  const bar = new SingleBar(
    {
      format: '{step} {bar} {percentage} % of {megabytes} MB',
      clearOnComplete: true,
      hideCursor: true,
      noTTYOutput: false,
    },
    Presets.shades_classic,
  );
  return {
    progress({ step, done, total }) {
      if (total === undefined || !process.stderr.isTTY) return;
      const payload = { step, megabytes: Math.round(total / 1e6) };
      if (!bar.isActive) bar.start(total, done, payload);
      bar.update(Math.min(done, total), payload);
    },
    stop: () => bar.stop(),
  };
}

import { definePlugin, type Plugin, type Run } from 'mooring';

/** When a run's steps ended, in milliseconds; the first entry is when the first step began. */
export interface Clock {
  readonly plugin: Plugin;
  readonly ends: readonly number[];
  /** Resident memory in MiB once the engine is open, before any weights are loaded. */
  readonly rssAtSetup: () => number;
}

/** Notes when steps end. With `seconds`, also ends the run after that long, but not before `atLeast` steps. */
export function createClock({ seconds = Infinity, atLeast = 1 } = {}): Clock {
  const ends: number[] = [];
  let rss = 0;
  const clock = definePlugin({
    name: 'clock',
    apiVersion: 1,
    apply({ hooks }) {
      let run: Run | undefined;
      hooks.setup.tap((given) => {
        run = given.run;
        rss = process.memoryUsage.rss() / 2 ** 20;
      });
      hooks.stepBegin.tap(({ step }) => {
        if (step.index === 1) ends.push(performance.now());
      });
      hooks.stepEnd.tap(({ step }) => {
        ends.push(performance.now());
        const [began = 0] = ends;
        if (step.index >= atLeast && performance.now() - began > 1000 * seconds) run?.requestStop('timed long enough');
      });
    },
  });
  return { plugin: clock(), ends, rssAtSetup: () => rss };
}

/** What a process says of the steps that it timed, under the names that the peers' scripts use. */
export interface Timed {
  readonly steps: number;
  /** Milliseconds, after warm-up. */
  readonly min_ms: number;
  readonly med_ms: number;
  /** Seconds from process start to the end of the first step. */
  readonly first_step_s: number;
  /** Peak resident memory in MiB. */
  readonly rss_peak: number;
}

/** The steps after warm-up: without the first quarter, at most five. */
export function warmOf<Step>(steps: readonly Step[]): readonly Step[] {
  return steps.slice(Math.min(5, Math.floor(steps.length / 4)));
}

/** The figures of a run of this process. */
export function timedSteps({ ends }: Clock): Timed {
  const times = ends.slice(1).map((end, index) => end - (ends[index] as number));
  const warm = [...warmOf(times)].sort((a, b) => a - b);
  return {
    steps: times.length,
    min_ms: warm[0] as number,
    med_ms: warm[Math.floor(warm.length / 2)] as number,
    first_step_s: (ends[1] as number) / 1000,
    rss_peak: process.resourceUsage().maxRSS / 1024,
  };
}

import type { TrainSettings } from '../config.ts';
import type { Schedule } from '../tokens.ts';

/** Share of the full learning rate after `done` of `steps` optimizer steps, once `warmup` steps are past. */
type Decay = (done: number, steps: number, warmup: number) => number;

const decays: Record<TrainSettings['schedule'], Decay> = {
  constant: () => 1,
  linear: (done, steps, warmup) => Math.max(0, (steps - done) / Math.max(1, steps - warmup)),
  cosine: (done, steps, warmup) => (1 + Math.cos((Math.PI * (done - warmup)) / Math.max(1, steps - warmup))) / 2,
};

/**
 * The learning rates of transformers' `get_constant_schedule_with_warmup`, `get_linear_schedule_with_warmup` and
 * `get_cosine_schedule_with_warmup`: the first step of a warmup has rate 0, the step after it the full rate.
 */
export function createSchedule(settings: Pick<TrainSettings, 'schedule' | 'learningRate' | 'warmupSteps'>): Schedule {
  const { schedule, learningRate, warmupSteps } = settings;
  return {
    learningRate(step, steps) {
      const done = step - 1;
      const share = done < warmupSteps ? done / warmupSteps : decays[schedule](done, steps, warmupSteps);
      return learningRate * share;
    },
  };
}

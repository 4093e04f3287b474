/** Options of `sync-ref-model` that say when its average and the reference change, in optimizer steps. */
export interface AverageOptions {
  /** Between two moves of the reference. */
  readonly everySteps: number;
  /** Between two updates of the average. */
  readonly updateEverySteps: number;
  readonly updateAfter: number;
  readonly refModelUpdateAfter: number;
}

/** Copies of what is trained that the average keeps, at most and in no step's end. */
export interface AverageCopies {
  /** Beside a reference in float32, which may hold one of them too. */
  readonly besideWhole: number;
  /** Beside a reference in bfloat16, which shares nothing. */
  readonly besidePacked: number;
  /** Whether it is updated at all: until the reference follows there may be three, whatever lasts. */
  readonly isUpdated: boolean;
}

/**
 * Counts them as `sync-ref-model` has them: start, average and what is made of both begin as the policy's own buffers, and
 * the reference, where it is moved, holds what was made of both. Of a run of so many steps.
 */
export function averageCopies(options: AverageOptions, steps: number): AverageCopies {
  const { everySteps, updateEverySteps, updateAfter, refModelUpdateAfter } = options;
  const isEvery = (period: number, since: number) => since >= 0 && since % period === 0;
  let [start, average, weights, reference] = ['policy 0', 'policy 0', 'policy 0', 'policy 0'];
  const copies = { besideWhole: 0, besidePacked: 0, isUpdated: false };
  for (let step = 1; step <= steps; step++) {
    const kept = new Set([start, average, weights]);
    copies.besidePacked = Math.max(copies.besidePacked, kept.size);
    copies.besideWhole = Math.max(copies.besideWhole, kept.add(reference).size - 1);
    if (step === updateAfter) {
      start = `policy ${step}`;
      average = start;
    } else if (step > updateAfter && isEvery(updateEverySteps, step - updateAfter)) {
      average = `average ${step}`;
      weights = `weights ${step}`;
      copies.isUpdated = true;
    }
    if (isEvery(everySteps, step - refModelUpdateAfter)) reference = weights;
  }
  return copies;
}

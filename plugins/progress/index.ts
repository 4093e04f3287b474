import { Clock, definePlugin, inputTokens } from 'mooring';
import { z } from 'zod';
import { drawBar } from './bar.ts';
import { formatEvaluation, formatStep } from './format.ts';
import { Pace } from './pace.ts';

/** Shows how training goes: a bar on a terminal, lines elsewhere. */
export const progress = definePlugin({
  name: 'progress',
  apiVersion: 1,
  preservesTraining: true,
  options: z.strictObject({ everySteps: z.int().positive().optional() }),
  uses: { clock: Clock },
  ranks: 'first',
  apply({ hooks, options, services, log }) {
    let bar: ReturnType<typeof drawBar> | undefined;
    let pace = new Pace(0);
    let tokens = 0;
    hooks.trainBegin.tap(({ run }) => {
      if (process.stderr.isTTY) bar = drawBar(run.steps);
      pace = new Pace(services.clock.now());
    });
    hooks.stepBegin.tap(({ microBatches }) => {
      tokens = inputTokens(microBatches);
    });
    hooks.stepEnd.tap(({ step, record }) => {
      pace.add(services.clock.now(), tokens);
      const line = formatStep(record, pace.tokensPerSecond, pace.secondsLeft(step));
      const everySteps = options.everySteps ?? Math.ceil(step.steps / 50);
      const isDue = step.index === 1 || step.index === step.steps || step.index % everySteps === 0;
      if (bar !== undefined) bar.show(step.index, line);
      else if (isDue) log.info({ step: step.index }, `step ${step.index}/${step.steps}  ${line}`);
    });
    hooks.evaluated.tap(({ figures, step }) => {
      log.info({ step, ...figures }, `evaluation after step ${step}  ${formatEvaluation(figures)}`);
    });
    hooks.trainEnd.tap(() => bar?.stop());
    hooks.failure.tap(() => bar?.stop());
  },
});

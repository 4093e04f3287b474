import { createTrainer } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { oneOf } from './bench-run.ts';
import { createClock, timedSteps } from './clock.ts';
import { modelFolder } from './models.ts';
import { modeSettings, modes } from './modes.ts';
import { randomPairs } from './random-pairs.ts';
import { sweepNames, sweeps } from './sweeps.ts';

// times one point of a sweep in this process and prints one line of JSON: node ... scaling-step.ts length 512 eager
const [sweep = '', value, mode = ''] = process.argv.slice(2);
const { pairs, promptTokens, completionTokens, ...shape } = sweeps[oneOf(sweep, sweepNames)].at(Number(value));
const clock = createClock({ seconds: 1.5, atLeast: 5 });

await createTrainer({
  model: modelFolder('point', shape),
  train: {
    steps: 200,
    learningRate: 1e-4,
    schedule: 'constant',
    batchSize: pairs,
    ...modeSettings(oneOf(mode, modes)),
  },
})
  .use(
    causalLm(),
    randomPairs({ pairs, promptTokens, completionTokens, vocabulary: shape.vocabulary }),
    dpo({ beta: 0.1 }),
    refClone(),
    clock.plugin,
  )
  .train();
console.log(JSON.stringify({ ...timedSteps(clock), rss_at_setup: clock.rssAtSetup() }));

import { createTrainer, definePlugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { type BenchModel, benchModels, writeConfig } from './models.ts';
import { randomPairs } from './random-pairs.ts';

// times DPO steps of one model in this process and prints one line of JSON: node ... dpo-step.ts tiny 25 [unshared]
const [name = 'tiny', steps = '25', prompts = 'shared'] = process.argv.slice(2);
const ends: number[] = [];
const clock = definePlugin({
  name: 'clock',
  apiVersion: 1,
  apply({ hooks }) {
    hooks.stepBegin.tap(({ step }) => {
      if (step.index === 1) ends.push(performance.now());
    });
    hooks.stepEnd.tap(() => {
      ends.push(performance.now());
    });
  },
});

const trainer = createTrainer({
  model: writeConfig(name as BenchModel),
  train: { steps: Number(steps), learningRate: 1e-4, schedule: 'constant', batchSize: 4 },
}).use(
  causalLm({ initialize: 'random' }),
  randomPairs({
    vocabulary: Math.min(8192, benchModels[name as BenchModel].vocabulary),
    sharePrompts: prompts === 'shared',
  }),
  dpo({ beta: 0.1 }),
  refClone(),
  clock(),
);
const { record } = await trainer.train();

const times = ends.slice(1).map((end, index) => end - (ends[index] as number));
const warm = times.slice(Math.min(5, Math.floor(times.length / 4))).sort((a, b) => a - b);
const tokens = 4 * 2 * 128;
console.log(
  JSON.stringify({
    model: name,
    steps: times.length,
    min_ms: warm[0],
    med_ms: warm[Math.floor(warm.length / 2)],
    tokens_per_second: (1000 * tokens) / (warm[0] as number),
    first_step_s: (ends[1] as number) / 1000,
    rss_peak: process.resourceUsage().maxRSS / 1024,
    loss: record?.loss,
  }),
);

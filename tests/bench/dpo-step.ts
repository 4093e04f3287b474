import { parseArgs } from 'node:util';
import { createTrainer } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { cachedReference } from './cached-reference.ts';
import { createClock, timedSteps } from './clock.ts';
import { type BenchModel, benchModels, writeConfig } from './models.ts';
import { type Mode, modeSettings, modes } from './modes.ts';
import { randomPairs } from './random-pairs.ts';

// times DPO steps of one model in this process and prints one line of JSON:
// node ... dpo-step.ts tiny 25 --mode compiled --reference cached
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    mode: { type: 'string', default: modes[0] },
    recompute: { type: 'string' },
    reference: { type: 'string', default: 'cloned' },
  },
});
const [name = 'tiny', steps = '25'] = positionals;
const clock = createClock();

const trainer = createTrainer({
  model: writeConfig(name as BenchModel),
  train: {
    steps: Number(steps),
    learningRate: 1e-4,
    schedule: 'constant',
    batchSize: 4,
    ...modeSettings(values.mode as Mode, values.recompute),
  },
}).use(
  causalLm({ initialize: 'random' }),
  randomPairs({ vocabulary: Math.min(8192, benchModels[name as BenchModel].vocabulary) }),
  dpo({ beta: 0.1 }),
  refClone(),
  ...(values.reference === 'cached' ? [cachedReference({ batches: Number(steps) })] : []),
  clock.plugin,
);
const { record } = await trainer.train();
console.log(JSON.stringify({ model: name, ...values, ...timedSteps(clock), loss: record?.loss }));

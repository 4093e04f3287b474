import { createTrainer, definePlugin, Engine, Model } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { mechanisms } from '../../plugins/advise/mechanisms.ts';
import { type MemoryPrediction, predictMemory, type Setting } from '../../plugins/advise/predict-memory.ts';
import { shapesOf } from '../../plugins/advise/shapes.ts';
import { type AdviseMode, adviseModes, adviseSteps } from './advise-modes.ts';
import { batch, oneOf } from './bench-run.ts';
import { type BenchModel, benchModels, modelFolder } from './models.ts';
import { randomPairs } from './random-pairs.ts';

/** What a process says of a mode. */
export interface AdviseFigures {
  readonly predicted: MemoryPrediction;
  /** The most bytes of tensors and variables at once, and the most that the process held. */
  readonly tensors: number;
  readonly resident: number;
}

// runs one mode in this process and prints one line of JSON: node ... advise-step.ts tiny 'clone, soft sync'
const [given = '', name = ''] = process.argv.slice(2);
const model = oneOf(given, Object.keys(benchModels) as BenchModel[]);
const mode = adviseModes[oneOf(name, Object.keys(adviseModes))] as AdviseMode;
const { sharesPrompts = true } = mode;
const setting: Setting = {
  mechanism: mechanisms.find((each) => each.name === mode.mechanism) as Setting['mechanism'],
  workload: { ...batch, sharesPrompts },
  running: { isCompiled: true, recompute: 'none' },
  ranks: 1,
  adapterRank: 16,
  ...mode.setting,
};
const predictor = definePlugin({
  name: 'predictor',
  apiVersion: 1,
  uses: { engine: Engine, model: Model },
  apply({ hooks, services }) {
    hooks.trainEnd.tap(() => {
      const predicted = predictMemory(shapesOf(services.model), setting);
      const resident = process.resourceUsage().maxRSS * 1024;
      console.log(JSON.stringify({ predicted, tensors: services.engine.peakBytes(), resident }));
    });
  },
});

await createTrainer({
  model: modelFolder(model),
  train: {
    steps: adviseSteps,
    learningRate: 1e-4,
    schedule: 'constant',
    batchSize: batch.pairs,
    compile: 'on',
    ...mode.train,
  },
})
  .use(
    causalLm(),
    randomPairs({ ...batch, sharePrompts: sharesPrompts, vocabulary: Math.min(8192, benchModels[model].vocabulary) }),
    dpo({ beta: 0.1 }),
    ...mode.plugins(modelFolder(model)),
    predictor(),
  )
  .train();

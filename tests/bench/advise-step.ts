import { Collectives, createTrainer, definePlugin, Engine, Model } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { mechanisms } from '../../plugins/advise/mechanisms.ts';
import { type MemoryPrediction, predictMemory, type Setting } from '../../plugins/advise/predict-memory.ts';
import { shapesOf } from '../../plugins/advise/shapes.ts';
import { type AdviseMode, adviseModes, adviseSteps } from './advise-modes.ts';
import { batch, oneOf } from './bench-run.ts';
import { type BenchModel, benchModels, modelFolder } from './models.ts';
import { randomPairs } from './random-pairs.ts';
import { tellRanks } from './tell-ranks.ts';

/** What a process says of a mode. */
export interface AdviseFigures {
  readonly predicted: MemoryPrediction;
  /** The most bytes of tensors and variables at once, and the most that the process held: of the rank that held most. */
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
  uses: { engine: Engine, model: Model, collectives: Collectives },
  apply({ hooks, services }) {
    hooks.trainEnd.tap(async () => {
      const { collectives, engine, model } = services;
      const resident = process.resourceUsage().maxRSS * 1024;
      const all = await tellRanks(collectives, { tensors: engine.peakBytes(), resident });
      if (collectives.rank > 0) return;
      const most = (name: 'tensors' | 'resident') => Math.max(...all.map((figures) => figures[name] ?? 0));
      const figures: AdviseFigures = {
        predicted: predictMemory(shapesOf(model), setting),
        tensors: most('tensors'),
        resident: most('resident'),
      };
      console.log(JSON.stringify(figures));
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

// The TypeScript of README.md, put here by `npm run docs` so that the compiler checks it.

import { createTrainer } from 'mooring';
import { defaults } from 'mooring/plugins';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';

const trainer = createTrainer({
  model: 'models/qwen2',
  data: 'pairs.jsonl',
  output: 'runs/first',
  train: { steps: 100, learningRate: 5e-6 },
}).use(...defaults(), dpo({ beta: 0.1 }), refClone());
const { record } = await trainer.train();
console.log(record?.loss);

import { definePlugin, optional, Reference } from 'mooring';
import { z } from 'zod';

export const lossWatch = definePlugin({
  name: 'loss-watch',
  apiVersion: 1,
  options: z.strictObject({ above: z.number().positive() }),
  uses: { reference: optional(Reference) },
  apply({ hooks, options, services, log }) {
    hooks.stepEnd.tap(({ step, record }) => {
      if ((record.loss ?? 0) <= options.above) return;
      log.warn({ step: step.index }, `the loss is ${record.loss} against the reference ${services.reference?.kind}`);
    });
  },
});

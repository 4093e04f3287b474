import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { type CommandContext, defineCommand, Model } from 'mooring';
import { z } from 'zod';
import { advise } from './advice.ts';
import { bytesSchema } from './byte-count.ts';
import { failure } from './errors.ts';
import { adviceAsJson, renderAdvice } from './render.ts';
import { shapesOf } from './shapes.ts';

const count = z.coerce.number().int().positive();

/** `mooring advise`: what each way to have a reference would take, and which to choose. */
export const adviseCommand = defineCommand({
  name: 'advise',
  description: 'predict what each mechanism takes for a model, from its config.json, and choose one',
  flags: [
    {
      flags: '--model <folder>',
      description: 'a folder with config.json; its weights need not exist',
      isRequired: true,
    },
    { flags: '--reference <folder>', description: 'another model that is to be the reference' },
    { flags: '--memory <bytes>', description: "what each rank may hold, such as 24GiB (this machine's)" },
    { flags: '--ranks <n>', description: 'ranks to share a sharded model (1)' },
    { flags: '--batch <n>', description: 'pairs in a micro-step, over all ranks (4)' },
    { flags: '--time <n>', description: 'tokens of a sequence, prompt and completion (512)' },
    { flags: '--completion <n>', description: 'tokens of them that are completion (half)' },
    { flags: '--rank <n>', description: 'r of the adapters, on all linears (16)' },
    { flags: '--eager', description: 'as in a run too short to be compiled' },
    { flags: '--recompute', description: 'with train.recompute: block' },
    { flags: '--json', description: 'for programs' },
  ],
  options: z.object({
    model: z.string(),
    reference: z.string().optional(),
    memory: bytesSchema.optional(),
    ranks: count.default(1),
    batch: count.default(4),
    time: count.default(512),
    completion: count.optional(),
    rank: count.default(16),
    eager: z.boolean().default(false),
    recompute: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  async run(options, context) {
    const { time, completion = Math.ceil(time / 2) } = options;
    if (completion >= time) throw failure('ADVISE_SEQUENCE_UNEVEN', { time, completion });
    const shapes = await readShapes(options.model, context);
    const referenceShapes = options.reference === undefined ? undefined : await readShapes(options.reference, context);
    const advice = advise({
      shapes,
      referenceShapes,
      memory: options.memory ?? totalmem(),
      ranks: options.ranks,
      workload: {
        pairs: options.batch,
        promptTokens: time - completion,
        completionTokens: completion,
        sharesPrompts: true,
      },
      running: { isCompiled: !options.eager, recompute: options.recompute ? 'block' : 'none' },
      adapterRank: options.rank,
    });
    context.print(options.json ? adviceAsJson(advice) : renderAdvice(advice));
  },
});

/** Nothing is computed, so the engine that needs nothing will do. */
function readShapes(folder: string, context: CommandContext) {
  const config = { model: resolve(folder), train: { engine: 'cpu' as const } };
  const take = { plugins: ['causal-lm'], uses: { model: Model }, isUnloaded: true };
  return context.withServices(config, take, async ({ model }) => shapesOf(model));
}

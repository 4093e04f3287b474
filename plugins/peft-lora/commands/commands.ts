import { resolve } from 'node:path';
import { type CommandContext, defineCommand, Model } from 'mooring';
import { z } from 'zod';
import type { TargetModel } from '../folder/targets.ts';
import { compareAdapters, formatDifference } from './compare.ts';
import { describeAdapter, formatDescription } from './describe.ts';
import { writeMergedModel } from './write-merged-model.ts';

const json = { flags: '--json', description: 'for programs' };

/** `mooring adapter merge`: a base and its adapter as one plain model. */
export const merge = defineCommand({
  name: 'adapter merge',
  description: 'write a model with an adapter merged into it',
  flags: [
    { flags: '--model <folder>', description: 'the base, a Hugging Face folder', isRequired: true },
    { flags: '--adapter <folder>', description: 'a PEFT folder', isRequired: true },
    { flags: '--output <folder>', description: 'where the model goes; must be new or empty', isRequired: true },
    { flags: '--dtype <type>', description: "float32, bfloat16 or float16 (the base's)" },
  ],
  options: z.object({
    model: z.string(),
    adapter: z.string(),
    output: z.string(),
    dtype: z.enum(['float32', 'bfloat16', 'float16']).optional(),
  }),
  run: ({ model: folder, adapter, output, dtype }, context) =>
    withShapes(folder, context, async (model) => {
      const { targets, saved } = await writeMergedModel({ folder, model, adapter, output: resolve(output), dtype });
      const whole = saved.length > 0 ? ` and ${saved.length} whole parameters` : '';
      context.print(`${targets.length} modules${whole} merged into ${output}\n`);
    }),
});

/** `mooring adapter info`: what an adapter is. */
export const info = defineCommand({
  name: 'adapter info',
  description: 'say what an adapter is made of, and whether it adds anything yet',
  arguments: [{ name: 'folder', description: 'a PEFT folder' }],
  flags: [{ flags: '--model <folder>', description: 'its base, to compare with and to check against' }, json],
  options: z.object({ folder: z.string(), model: z.string().optional(), json: z.boolean().optional() }),
  async run({ folder, model: base, json: isJson }, context) {
    const description =
      base === undefined
        ? await describeAdapter(folder)
        : await withShapes(base, context, (model) => describeAdapter(folder, { folder: base, model }));
    context.print(isJson ? `${JSON.stringify(description)}\n` : formatDescription(folder, description));
  },
});

/** `mooring adapter diff`: how far two adapters are apart. */
export const diff = defineCommand({
  name: 'adapter diff',
  description: 'compare what two adapters add, module by module',
  arguments: [
    { name: 'first', description: 'a PEFT folder' },
    { name: 'second', description: 'another' },
  ],
  flags: [json],
  options: z.object({ first: z.string(), second: z.string(), json: z.boolean().optional() }),
  async run({ first, second, json: isJson }, context) {
    const difference = await compareAdapters(first, second);
    context.print(isJson ? `${JSON.stringify(difference)}\n` : formatDifference(difference));
  },
});

/** The shapes of a model folder, without its weights or an engine. */
function withShapes<Result>(
  folder: string,
  context: CommandContext,
  body: (model: TargetModel) => Promise<Result>,
): Promise<Result> {
  const take = { plugins: ['causal-lm'], uses: { model: Model }, isUnloaded: true };
  return context.withServices({ model: resolve(folder) }, take, ({ model }) => body(model));
}

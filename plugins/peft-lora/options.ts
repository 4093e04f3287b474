import type { Model } from 'mooring';
import { z } from 'zod';
import type { AdapterConfig } from './folder/config.ts';

/** What an adapter is made of: PEFT's names in camel case. Given nothing, PEFT's defaults hold. */
const shape = {
  r: z.int().positive().optional(),
  alpha: z.number().positive().optional(),
  rslora: z.boolean().optional(),
  dora: z.boolean().optional(),
  targetModules: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
  excludeModules: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
  rankPattern: z.record(z.string(), z.int().positive()).optional(),
  alphaPattern: z.record(z.string(), z.number().positive()).optional(),
  layersToTransform: z.array(z.int().nonnegative()).min(1).optional(),
  layersPattern: z.array(z.string().min(1)).optional(),
  modulesToSave: z.array(z.string().min(1)).optional(),
  bias: z.enum(['none', 'all', 'lora_only']).optional(),
  fanInFanOut: z.boolean().optional(),
  initialization: z.enum(['default', 'gaussian', 'pissa']).optional(),
};

/** The plugin's options. */
export const optionsSchema = z
  .strictObject({
    ...shape,
    dropout: z.number().min(0).lt(1).optional(),
    adapter: z.string().min(1).optional(),
    adapters: z
      .record(z.string().regex(/^(?!default$)[\w.-]+$/, 'a name other than `default`'), z.string())
      .default({}),
    reference: z.enum(['auto', 'adapters-off', 'adapter-snapshot', 'none']).default('auto'),
    allowRawBase: z.boolean().default(false),
    storage: z.enum(['float32', 'bfloat16']).default('float32'),
  })
  .superRefine((options, context) => {
    const given = Object.keys(shape).filter((name) => options[name as keyof typeof shape] !== undefined);
    if (options.adapter !== undefined && given.length > 0) {
      const message = `goes without \`${given.join('`, `')}\`: the folder's adapter_config.json says what the adapter is made of`;
      context.addIssue({ code: 'custom', path: ['adapter'], message });
    }
    if (options.initialization === 'pissa' && options.dora === true) {
      const message = 'pissa goes without `dora`: what it changes in the base cannot be converted back';
      context.addIssue({ code: 'custom', path: ['initialization'], message });
    }
    if (options.initialization === 'pissa' && options.storage === 'bfloat16') {
      const message =
        'pissa goes without `storage: bfloat16`: what is left of the base would be rounded, and the saved adapter be of another base';
      context.addIssue({ code: 'custom', path: ['initialization'], message });
    }
    if (options.initialization === 'pissa' && Object.keys(options.adapters).length > 0) {
      const message = 'pissa goes without `adapters`: they were trained over the base that it changes';
      context.addIssue({ code: 'custom', path: ['initialization'], message });
    }
    if (options.layersPattern !== undefined && options.layersToTransform === undefined) {
      const message = 'goes with `layersToTransform`: alone it chooses nothing, and PEFT does not load such an adapter';
      context.addIssue({ code: 'custom', path: ['layersPattern'], message });
    }
    if (typeof options.targetModules === 'string' && options.layersToTransform !== undefined) {
      const message = 'goes with a list of `targetModules`: a regular expression names its layers itself';
      context.addIssue({ code: 'custom', path: ['layersToTransform'], message });
    }
  });

export type Options = z.output<typeof optionsSchema>;

/** The config of a fresh adapter, for the base that it is trained on. */
export function configOf(options: Options, model: Model, base: string): AdapterConfig {
  const { initialization = 'default' } = options;
  return {
    r: options.r ?? 8,
    alpha: options.alpha ?? 8,
    dropout: options.dropout ?? 0,
    rslora: options.rslora ?? false,
    dora: options.dora ?? false,
    targetModules: options.targetModules ?? usualTargets(model),
    excludeModules: options.excludeModules,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    layersToTransform: options.layersToTransform,
    layersPattern: options.layersPattern ?? [],
    modulesToSave: options.modulesToSave ?? [],
    bias: options.bias ?? 'none',
    fanInFanOut: options.fanInFanOut ?? hasTransposedWeights(model),
    initLoraWeights: initialization === 'default' ? true : initialization,
    base,
  };
}

/** PEFT's by family: the query and value projections, or the fused one where a family has no others. */
function usualTargets({ blocks }: Model): string[] {
  const ends = blocks.flatMap(({ modules }) => Object.keys(modules).map((name) => name.split('.').at(-1) as string));
  const found = ['q_proj', 'v_proj', 'c_attn'].filter((name) => ends.includes(name));
  return found.length > 0 ? found : [...new Set(ends)];
}

function hasTransposedWeights({ blocks }: Model): boolean {
  return blocks.some(({ modules }) =>
    Object.values(modules).some(({ kind, layout }) => kind === 'linear' && layout === 'in,out'),
  );
}

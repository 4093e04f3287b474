import { z } from 'zod';

/** The `train` section of a run: names are TRL's in camel case, with units where theirs have none. */
export const trainSchema = z.strictObject({
  steps: z.int().positive().optional(),
  epochs: z.number().positive().default(3),
  batchSize: z.int().positive().default(4),
  gradientAccumulationSteps: z.int().positive().default(1),
  learningRate: z.number().nonnegative().default(1e-6),
  schedule: z.enum(['constant', 'linear', 'cosine']).default('linear'),
  warmupSteps: z.int().nonnegative().default(0),
  weightDecay: z.number().nonnegative().default(0),
  maxGradNorm: z.number().positive().default(1),
  adam: z
    .strictObject({
      beta1: z.number().min(0).lt(1).default(0.9),
      beta2: z.number().min(0).lt(1).default(0.999),
      eps: z.number().positive().default(1e-8),
    })
    .prefault({}),
  maxLength: z.int().positive().nullable().default(1024),
  truncationMode: z.enum(['keep_start', 'keep_end']).default('keep_start'),
  shuffle: z.boolean().default(true),
  seed: z.int().nonnegative().default(42),
  disableDropout: z.boolean().default(true),
  evalEverySteps: z.int().positive().optional(),
  compile: z.enum(['auto', 'on', 'off']).default('auto'),
  recompute: z.enum(['none', 'block']).default('none'),
  saveDtype: z.enum(['float32', 'bfloat16', 'float16']).optional(),
  engine: z.enum(['auto', 'native', 'wasm', 'cpu']).default('auto'),
});

/** What a run file says beside its plugins; paths are absolute once it is read. */
export const runSchema = z.strictObject({
  model: z.string().min(1),
  data: z.string().min(1).optional(),
  evalData: z.string().min(1).optional(),
  output: z.string().min(1).optional(),
  /** What relative paths in options of plugins start from: a run file's own folder, else the working directory. */
  folder: z.string().min(1).default('.'),
  train: trainSchema.prefault({}),
});

/** Checked settings of training, defaults filled in. */
export type TrainSettings = z.output<typeof trainSchema>;

/** A checked run, defaults filled in. */
export interface RunConfig extends z.output<typeof runSchema> {
  /** Where the folders are that its plugins read, by what their options say, which may be relative to the run's own. */
  readonly folders: Readonly<Record<string, string>>;
}

/** A run as its author writes it. */
export type RunInput = z.input<typeof runSchema>;

import { z } from 'zod';

/** Names and defaults are those of TRL's `BEMACallback` (`trl.experimental.bema_for_ref_model`), in camel case. */
const bemaSchema = z.strictObject({
  /** Optimizer steps between two updates of the average: `update_freq`. */
  everySteps: z.int().positive().default(400),
  emaPower: z.number().nonnegative().default(0.5),
  biasPower: z.number().nonnegative().default(0.2),
  lag: z.int().nonnegative().default(10),
  updateAfter: z.int().nonnegative().default(0),
  multiplier: z.number().positive().default(1),
  minEmaMultiplier: z.number().min(0).max(1).default(0),
  refModelUpdateAfter: z.int().nonnegative().default(0),
});

/** How the bias-corrected average is taken, defaults filled in. */
export type BemaOptions = z.output<typeof bemaSchema>;

/** What the plugin is told. With `bema` the reference becomes the average, and nothing is mixed. */
export const syncSchema = z
  .strictObject({
    everySteps: z.int().positive().optional(),
    mixupAlpha: z.number().min(0).max(1).optional(),
    bema: bemaSchema.optional(),
  })
  .refine(({ mixupAlpha, bema }) => mixupAlpha === undefined || bema === undefined, {
    path: ['mixupAlpha'],
    message: 'the reference is either mixed with the policy (`mixupAlpha`) or made of its average (`bema`)',
  })
  .transform(({ everySteps, mixupAlpha = 0.6, bema }) => ({
    everySteps: everySteps ?? (bema === undefined ? 512 : 400),
    mixupAlpha,
    bema,
  }));

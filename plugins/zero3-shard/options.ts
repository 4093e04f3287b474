import { z } from 'zod';

const elements = z.number().int().min(0);

/** Options of `zero3-shard`: DeepSpeed's names, all counts are of elements. */
export const optionsSchema = z.strictObject({
  stage: z.union([z.literal(1), z.literal(2), z.literal(3)]).default(3),
  ranks: z.int().positive().optional(),
  transport: z.enum(['threads', 'mpi']).optional(),
  persistenceThreshold: elements.default(100_000),
  prefetchBucketSize: elements.default(50_000_000),
  maxLiveParameters: elements.default(0),
  reduceBucketSize: elements.min(1).default(500_000_000),
});
export type ZeroOptions = z.output<typeof optionsSchema>;

import { createTrainer, Model } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import type { Workload } from './measure-blocks.ts';
import { type BlockCost, bytesOfBlocks } from './step-work.ts';

/** Bytes that AdamW reads and writes of each trained number: weight, gradient and two moments, read, and three written. */
const optimizerBytes = 28;

/** What a rank computes with. */
export interface Machine {
  /** Floating-point operations that it reaches in the products of a block. */
  readonly operationsPerSecond: number;
  readonly memoryBytesPerSecond: number;
}

/**
 * What the blocks of a model take by counting: 2 operations forward for each weight of a linear and token, and twice as
 * many backward, attention's products as well. Reads config.json alone, so that no weights need exist.
 */
export function blocksOfConfig(folder: string, workload: Workload, machine: Machine) {
  const trainer = createTrainer({ model: folder, train: { engine: 'cpu' } }).use(causalLm());
  return trainer.withServices({ model: Model }, async ({ model }) => costsOf(model, workload, machine), {
    isUnloaded: true,
  });
}

function costsOf(model: Model, workload: Workload, machine: Machine) {
  const bytes = bytesOfBlocks(model);
  const blocks = model.blocks.map(({ name, kind, modules }): BlockCost => {
    const own = bytes.get(name) ?? { parameterBytes: 0, gradientBytes: 0 };
    const matrices = kind === 'embedding' || Object.keys(modules).length === 0 ? 0 : own.parameterBytes / 4;
    const seconds = operations(model, kind, matrices, workload) / machine.operationsPerSecond;
    return { name, kind, policySeconds: seconds, referenceSeconds: seconds, backwardSeconds: 2 * seconds, ...own };
  });
  const numbers = blocks.reduce((sum, { gradientBytes }) => sum + gradientBytes / 4, 0);
  return { blocks, optimizerSeconds: (optimizerBytes * numbers) / machine.memoryBytesPerSecond };
}

/** Of a forward pass over pairs that share the row of their prompt. */
function operations(
  { sizes }: Model,
  kind: BlockCost['kind'],
  matrices: number,
  { pairs, promptTokens, completionTokens }: Workload,
): number {
  const targets = 2 * pairs * completionTokens;
  if (kind === 'head') return 2 * targets * matrices;
  if (kind === 'embedding' || sizes === undefined) return 0;
  const tokens = pairs * (promptTokens + 2 * completionTokens);
  const scores = pairs * (promptTokens ** 2 + 2 * completionTokens * (promptTokens + completionTokens));
  return 2 * tokens * matrices + 4 * scores * sizes.heads * sizes.headSize;
}

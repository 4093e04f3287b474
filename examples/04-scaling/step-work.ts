import type { Model } from 'mooring';
import type { StepWork } from './simulate-step.ts';

/** What a block takes on one rank, and what of it crosses the network. */
export interface BlockCost {
  readonly name: string;
  readonly kind: 'embedding' | 'layer' | 'head';
  readonly policySeconds: number;
  readonly referenceSeconds: number;
  readonly backwardSeconds: number;
  /** Of its parameters, and of the gradients that are complete once its backward pass has run. */
  readonly parameterBytes: number;
  readonly gradientBytes: number;
}

/**
 * A step of full training with a cloned reference: the policy's blocks, the reference's, then the policy's backward. Each
 * pass gathers its own values, each backward visit leaves gradients to reduce.
 */
export function stepWorkOf(blocks: readonly BlockCost[], optimizerSeconds: number): StepWork {
  const visit = (pass: string, block: BlockCost, computeSeconds: number, reducedBytes = 0) => {
    return { block: `${pass} ${block.name}`, gatheredBytes: block.parameterBytes, computeSeconds, reducedBytes };
  };
  return {
    visits: [
      ...blocks.map((block) => visit('policy', block, block.policySeconds)),
      ...blocks.map((block) => visit('reference', block, block.referenceSeconds)),
      ...[...blocks].reverse().map((block) => visit('backward', block, block.backwardSeconds, block.gradientBytes)),
    ],
    optimizerSeconds,
  };
}

/** Bytes of each block in float32, by name. A parameter of two blocks is gathered for both and reduced for the lower. */
export function bytesOfBlocks({ blocks, parameters }: Pick<Model, 'blocks' | 'parameters'>) {
  const sizes = new Map(
    parameters.map(({ name, shape }) => [name, shape.reduce((product, size) => product * size, 4)]),
  );
  const seen = new Set<string>();
  const bytes = (names: readonly string[]) => names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  return new Map(
    blocks.map((block) => {
      const names = [...new Set(Object.values(block.parameters))];
      const fresh = names.filter((name) => !seen.has(name));
      for (const name of names) seen.add(name);
      return [block.name, { parameterBytes: bytes(names), gradientBytes: bytes(fresh) }];
    }),
  );
}

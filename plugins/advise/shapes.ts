import type { Block, DecoderSizes, Model } from 'mooring';
import { failure } from './errors.ts';

/** Numbers in the parts of a model: all that predictions need of it. */
export interface Shapes {
  readonly description: string;
  readonly vocabularySize: number;
  readonly sizes: DecoderSizes;
  /** Of all parameters, each once. */
  readonly parameters: number;
  /** Of each block's own parameters, in order: embedding, layers, head. A tied head has the embedding's matrix too. */
  readonly blocks: readonly BlockShape[];
  /** Whether the head reads the embedding's matrix. */
  readonly isTied: boolean;
  /** Of the largest parameter, and of the largest parameter of a layer. */
  readonly largest: number;
}

/** Numbers in a block. */
export interface BlockShape {
  readonly kind: Block['kind'];
  readonly parameters: number;
  /** Numbers of each of its parameters. */
  readonly sizes: readonly number[];
  /** Sizes of its linears and embeddings. */
  readonly modules: readonly {
    readonly kind: 'linear' | 'embedding';
    readonly inputs: number;
    readonly outputs: number;
  }[];
}

/** Reads the shapes off a model without weights. Throws ADVISE_NOT_A_DECODER. */
export function shapesOf({ description, vocabularySize, sizes, parameters, blocks }: Model): Shapes {
  if (sizes === undefined) throw failure('ADVISE_NOT_A_DECODER', { description });
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  const numbers = (name: string) => (shapes.get(name) ?? []).reduce((product, size) => product * size, 1);
  const moduleOf = (block: Block, name: string) => {
    const { kind, layout, weight } = block.modules[name] as Block['modules'][string];
    const [first = 0, second = 0] = shapes.get(block.parameters[weight] as string) ?? [];
    return layout === 'in,out' ? { kind, inputs: first, outputs: second } : { kind, inputs: second, outputs: first };
  };
  const namesOf = (kind: Block['kind']) =>
    blocks.filter((block) => block.kind === kind).flatMap((block) => Object.values(block.parameters));
  const embedded = namesOf('embedding');
  return {
    description,
    vocabularySize,
    sizes,
    parameters: [...shapes.keys()].reduce((sum, name) => sum + numbers(name), 0),
    blocks: blocks.map((block) => ({
      kind: block.kind,
      parameters: Object.values(block.parameters).reduce((sum, name) => sum + numbers(name), 0),
      sizes: Object.values(block.parameters).map(numbers),
      modules: Object.keys(block.modules).map((name) => moduleOf(block, name)),
    })),
    isTied: namesOf('head').some((name) => embedded.includes(name)),
    largest: Math.max(...[...shapes.keys()].map(numbers)),
  };
}

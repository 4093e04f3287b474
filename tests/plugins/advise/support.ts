import path from 'node:path';
import { createTrainer, Model } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import type { Question } from '../../../plugins/advise/advice.ts';
import { type Mechanism, mechanisms } from '../../../plugins/advise/mechanisms.ts';
import type { Setting } from '../../../plugins/advise/predict-memory.ts';
import { type Shapes, shapesOf } from '../../../plugins/advise/shapes.ts';
import { quiet } from '../../core/support.ts';

export const configs = path.resolve(import.meta.dirname, '../../../plugins/advise/configs');

/** The shapes of a folder that need hold nothing but config.json. */
export function readShapes(folder: string): Promise<Shapes> {
  const trainer = createTrainer({ model: folder, train: { engine: 'cpu' } }, { log: quiet }).use(causalLm());
  return trainer.withServices({ model: Model }, async ({ model }) => shapesOf(model), { isUnloaded: true });
}

export const workload = { pairs: 4, promptTokens: 256, completionTokens: 256, sharesPrompts: true } as const;
const compiled = { isCompiled: true, recompute: 'none' } as const;

/** A mechanism by its name. */
export function mechanism(name: string): Mechanism {
  return mechanisms.find((each) => each.name === name) as Mechanism;
}

/** A question with what most tests ask. */
export function question(shapes: Shapes, asked: Partial<Question>): Question {
  return { shapes, memory: 24 * 2 ** 30, ranks: 1, workload, running: compiled, adapterRank: 16, ...asked };
}

/** A setting with what most tests predict. */
export function setting(asked: Pick<Setting, 'mechanism'> & Partial<Setting>): Setting {
  return { workload, running: compiled, ranks: 1, adapterRank: 16, ...asked };
}

/** A decoder of any sizes, as llama has it. */
export function decoder(of: { layers: number; hidden: number; vocabulary: number; isTied?: boolean }): Shapes {
  const { layers, hidden, vocabulary, isTied = false } = of;
  const feedForward = 3 * hidden;
  const linear = (inputs: number, outputs: number) => ({ kind: 'linear', inputs, outputs }) as const;
  const square = linear(hidden, hidden);
  const modules = [square, square, square, square, linear(hidden, feedForward), linear(hidden, feedForward)];
  const ofLayer = [...modules, linear(feedForward, hidden)];
  const layer = {
    kind: 'layer',
    sizes: [...ofLayer.map(({ inputs, outputs }) => inputs * outputs), hidden, hidden],
    parameters: 4 * hidden ** 2 + 3 * hidden * feedForward + 2 * hidden,
    modules: ofLayer,
  } as const;
  const matrix = hidden * vocabulary;
  return {
    description: 'a decoder',
    vocabularySize: vocabulary,
    sizes: {
      hidden,
      heads: 4,
      keyValueHeads: 4,
      headSize: hidden / 4,
      feedForward,
      isGated: true,
      hasHeadNorms: false,
    },
    parameters: (isTied ? 1 : 2) * matrix + layers * layer.parameters + hidden,
    blocks: [
      {
        kind: 'embedding',
        parameters: matrix,
        sizes: [matrix],
        modules: [{ ...linear(vocabulary, hidden), kind: 'embedding' }],
      },
      ...Array.from({ length: layers }, () => layer),
      { kind: 'head', parameters: matrix + hidden, sizes: [matrix, hidden], modules: [linear(hidden, vocabulary)] },
    ],
    isTied,
    largest: Math.max(matrix, hidden * feedForward),
  };
}

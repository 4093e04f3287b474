import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import {
  type Block,
  type DecoderSizes,
  dropoutMask,
  type Model,
  type ParameterSpec,
  type Pass,
  type Random,
  type Tensors,
} from 'mooring';
import { decoderBlocks } from './blocks.ts';
import { type DecoderConfig, readConfig } from './config.ts';
import { failure } from './errors.ts';
import { freshWeights } from './initialize.ts';
import { prepareRows } from './prepare.ts';
import { openModelWeights, readWeights } from './weights.ts';

/** Where a model's weights come from: its folder, or a random start for training from nothing. */
export type Initialize = 'weights' | 'random';

/** A decoder of a Hugging Face folder, with its checked config.json. */
export interface Decoder extends Model {
  readonly folder: string;
  readonly config: DecoderConfig;
}

/** Makes the model of a folder: reads config.json now, and weights when they are asked for. Throws the `MODEL_...` errors. */
export function createDecoder(folder: string, options: { initialize: Initialize; random: Random }): Decoder {
  const config = readConfig(folder);
  const blocks = decoderBlocks(config);
  const parameters = [...new Map(blocks.flatMap(({ specs }) => specs.map((spec) => [spec.name, spec]))).values()];
  return {
    folder,
    config,
    description: `${config.familyName} with ${formatSize(parameters)} parameters`,
    computation: computationOf(config),
    vocabularySize: config.vocabularySize,
    parameters,
    blocks,
    sizes: sizesOf(config),
    sharesPrompts: true,
    prepare: (rows) => prepareRows(config, rows),
    dropoutMasks: (block, pass) => dropoutMasks(config, block, blocks.indexOf(block as (typeof blocks)[number]), pass),
    load: (ranges) =>
      options.initialize === 'random'
        ? freshWeights(config, parameters, options.random)
        : readWeights(folder, config, parameters, ranges),
    ...(options.initialize === 'weights' && { openWeights: () => openModelWeights(folder, config, parameters) }),
  };
}

/** Masks for each place where the config's dropout rates are not 0, by the name of the block's input. Throws MODEL_DROPOUT_FORKED. */
function dropoutMasks(config: DecoderConfig, block: Block, index: number, pass: Pass): Tensors {
  const key = pass.dropout;
  if (key === undefined || block.kind === 'head') return {};
  const { batch, time, firstRow, fork } = pass.rows;
  if (fork !== undefined) throw failure('MODEL_DROPOUT_FORKED', {});
  const { heads, hidden, attentionDropout, residualDropout, embeddingDropout } = config;
  const scores = [batch, heads, time, time];
  const states = [batch, time, hidden];
  const places =
    block.kind === 'embedding'
      ? ([['embeddingDropout', embeddingDropout, states]] as const)
      : ([
          ['attentionDropout', attentionDropout, scores],
          ['attentionOutputDropout', residualDropout, states],
          ['feedForwardDropout', residualDropout, states],
        ] as const);
  const masks = places.flatMap(([name, rate, shape], site) => {
    if (rate === 0) return [];
    const mask = dropoutMask(key, { firstRow, layer: index, site }, shape, rate);
    return [[name, tf.tensor(mask, shape === states ? [batch * time, hidden] : scores)] as const];
  });
  return Object.fromEntries(masks);
}

/** Of what config.json says that no weight shows, such as rotary frequencies and windows; not what only training reads. */
function computationOf(config: DecoderConfig): string {
  const { raw, family, initializerRange, attentionDropout, residualDropout, embeddingDropout, ...figures } = config;
  return createHash('sha256').update(JSON.stringify(figures)).digest('hex');
}

function sizesOf({ family, hidden, heads, keyValueHeads, headSize, feedForward }: DecoderConfig): DecoderSizes {
  const { gate, headNorms } = family.layerNames;
  const isGated = gate !== undefined;
  return { hidden, heads, keyValueHeads, headSize, feedForward, isGated, hasHeadNorms: headNorms !== undefined };
}

function formatSize(parameters: readonly ParameterSpec[]): string {
  const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  return count < 1e9 ? `${(count / 1e6).toPrecision(3)} million` : `${(count / 1e9).toPrecision(3)} billion`;
}

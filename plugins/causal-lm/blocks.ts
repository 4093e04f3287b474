import * as tf from '@tensorflow/tfjs';
import { type Block, type BlockScope, type Tensors, takeRows } from 'mooring';
import { type Activation, activations } from './activations.ts';
import type { DecoderConfig } from './config.ts';
import { embeddingLayout, headLayout, type Layout, layerLayout } from './layout.ts';
import { type AttentionSetting, attention, attentionWithPast } from './primitives/attention.ts';
import { activate, gated } from './primitives/feed-forward.ts';
import { tokenFigures } from './primitives/log-probabilities.ts';
import { layerNormalize, rmsNormalize } from './primitives/norm.ts';

/** A decoder's blocks in the order that they run: embedding, layers, head. */
export function decoderBlocks(config: DecoderConfig): (Block & Layout)[] {
  return [
    {
      ...embeddingLayout(config),
      name: 'embedding',
      kind: 'embedding',
      run: (scope, inputs) => ({ hidden: embed(config, scope, inputs) }),
    },
    ...Array.from({ length: config.layers }, (_, index): Block & Layout => ({
      ...layerLayout(config, index),
      name: `layer ${index}`,
      kind: 'layer',
      run: (scope, inputs) => runLayer(config, index, scope, inputs),
    })),
    {
      ...headLayout(config),
      name: 'head',
      kind: 'head',
      run: (scope, inputs) => runHead(config, scope, inputs),
    },
  ];
}

function embed({ family }: DecoderConfig, scope: BlockScope, inputs: Tensors): tf.Tensor {
  const tokens = scope.embedding(family.embedding, input(inputs, 'ids')); // [batch * time, hidden]
  const hidden =
    family.positionEmbedding === undefined
      ? tokens
      : tf.add(tokens, scope.embedding(family.positionEmbedding, input(inputs, 'positions')));
  return drop(hidden, inputs.embeddingDropout);
}

function runLayer(config: DecoderConfig, index: number, scope: BlockScope, inputs: Tensors): Tensors {
  const names = config.family.layerNames;
  const hidden = input(inputs, 'hidden');
  const [query, key, value] = project(config, scope, norm(config, scope, names.attentionNorm, hidden));
  const setting = attentionSetting(config, index, scope, inputs);
  const { pastKey, pastValue } = inputs;
  const seen =
    pastKey === undefined || pastValue === undefined
      ? { context: attention(query, key, value, setting) }
      : attentionWithPast(query, key, value, setting, { key: pastKey, value: pastValue });
  const { context, ...past } = seen;
  // after the last attention only rows that predict a target matter: [targets, hidden]
  const source = index === config.layers - 1 ? input(inputs, 'source') : undefined;
  const rows = (x: tf.Tensor) => (source === undefined ? x : takeRows(x, source));
  const attended = scope.linear(names.attentionOutput, rows(context), { source });
  const middle = tf.add(rows(hidden), drop(attended, inputs.attentionOutputDropout, rows));
  const fed = feedForward(config, scope, norm(config, scope, names.feedForwardNorm, middle), source);
  return { hidden: tf.add(middle, drop(fed, inputs.feedForwardDropout, rows)), ...past };
}

/** The last layer yields only rows that predict a target. */
function runHead(config: DecoderConfig, scope: BlockScope, inputs: Tensors): Tensors {
  const { finalNorm, head } = config.family;
  const label = input(inputs, 'label');
  const local = `${head}.weight`;
  const weight = scope.parameter(local);
  if (label.size === 0) return nothing(config, scope, weight);
  const hidden = norm(config, scope, finalNorm, input(inputs, 'hidden'));
  const prediction = { hidden, weight, label, reference: referenceOf(inputs) };
  const { outputs, needsValue, differentiated } = scope;
  const isWeightFrozen = !scope.isDifferentiated(local);
  const names = outputs.filter((name) => name !== 'states' && name !== 'headWeight');
  const figures = tokenFigures(prediction, { names, needsValue, differentiated, isWeightFrozen });
  const parts = outputs.flatMap((name): [string, tf.Tensor][] => {
    if (name === 'states') return [[name, hidden]];
    return name === 'headWeight' ? [[name, tf.clone(weight)]] : [];
  });
  return { ...figures, ...Object.fromEntries(parts) };
}

/** What divergences compare with. */
function referenceOf({ referenceStates, referenceHeadWeight }: Tensors) {
  if (referenceStates === undefined || referenceHeadWeight === undefined) return undefined;
  return { hidden: referenceStates, weight: referenceHeadWeight };
}

/** Rows of one token predict nothing. */
function nothing({ vocabularySize, hidden }: DecoderConfig, { outputs }: BlockScope, weight: tf.Tensor): Tensors {
  const columns: Partial<Record<string, number[]>> = { scores: [vocabularySize], states: [hidden] };
  const empty = (name: string) => (name === 'headWeight' ? tf.clone(weight) : tf.zeros([0, ...(columns[name] ?? [])]));
  return Object.fromEntries(outputs.map((name) => [name, empty(name)]));
}

/** Queries, keys and values, `[batch * time, heads * headSize]`, each head normalised where the family does that. */
function project(config: DecoderConfig, scope: BlockScope, normal: tf.Tensor): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const { projections, headNorms } = config.family.layerNames;
  const parts =
    projections.length === 1
      ? tf.split(scope.linear(projections[0], normal), 3, -1)
      : projections.map((name) => scope.linear(name, normal));
  const [query, key, value] = parts as [tf.Tensor, tf.Tensor, tf.Tensor];
  if (headNorms === undefined) return [query, key, value];
  const byHead = (name: string, x: tf.Tensor) =>
    tf.reshape(norm(config, scope, name, tf.reshape(x, [-1, config.headSize])), x.shape);
  return [byHead(headNorms[0], query), byHead(headNorms[1], key), value];
}

function attentionSetting(config: DecoderConfig, index: number, scope: BlockScope, inputs: Tensors): AttentionSetting {
  const { heads, keyValueHeads, headSize, rope } = config;
  const isFull = config.windows[index] === undefined;
  return {
    ...scope.rows,
    heads,
    keyValueHeads,
    headSize,
    scale: rope === undefined ? (config.attentionScales[index] as number) : 1,
    mask: input(inputs, isFull ? 'mask' : 'windowMask'),
    branchMask: inputs[isFull ? 'branchMask' : 'branchWindowMask'],
    rotary: rope === undefined ? undefined : { cos: input(inputs, 'cos'), sin: input(inputs, 'sin') },
    dropout: inputs.attentionDropout,
  };
}

function feedForward(
  config: DecoderConfig,
  scope: BlockScope,
  normal: tf.Tensor,
  source: tf.Tensor | undefined,
): tf.Tensor {
  const { gate, up, down } = config.family.layerNames;
  const activation = activations[config.activation] as Activation;
  const widened = scope.linear(up, normal, { source });
  const active =
    gate === undefined
      ? activate(widened, activation)
      : gated(scope.linear(gate, normal, { source }), widened, activation);
  // nothing in the layer reads it but the sum that the layer yields
  return scope.linear(down, active, { isGradientOnly: !scope.needsValue, source });
}

function norm({ family, normEpsilon }: DecoderConfig, scope: BlockScope, name: string, hidden: tf.Tensor): tf.Tensor {
  const weight = scope.parameter(`${name}.weight`);
  if (family.norm === 'rms') return tf.mul(rmsNormalize(hidden, normEpsilon), weight);
  return tf.add(tf.mul(layerNormalize(hidden, normEpsilon), weight), scope.parameter(`${name}.bias`));
}

function drop(x: tf.Tensor, mask: tf.Tensor | undefined, rows = (all: tf.Tensor) => all): tf.Tensor {
  return mask === undefined ? x : tf.mul(x, rows(mask));
}

function input(inputs: Tensors, name: string): tf.Tensor {
  return inputs[name] as tf.Tensor;
}

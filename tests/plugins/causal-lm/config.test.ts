import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { type DecoderConfig, readConfig } from '../../../plugins/causal-lm/config.ts';
import { type Rope, rotaryFrequencies } from '../../../plugins/causal-lm/rope.ts';
import { failureOf } from '../../core/support.ts';

const shape = {
  hidden_size: 48,
  intermediate_size: 112,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  vocab_size: 384,
};

function read(config: Record<string, unknown>): DecoderConfig {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-config-'));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return readConfig(folder);
}

const llama = (more: Record<string, unknown>) => read({ model_type: 'llama', ...shape, ...more });

test('reads rope settings of either style as the same', () => {
  const scaling = { factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  const old = llama({ rope_theta: 5e5, rope_scaling: { type: 'llama3', ...scaling } });
  const current = llama({ rope_parameters: { rope_theta: 5e5, rope_type: 'llama3', ...scaling } });
  expect(old.rope).toEqual(current.rope);
  expect(llama({ rope_theta: 5e5, rope_scaling: null }).rope).toEqual({ type: 'default', theta: 5e5 });
  expect(llama({}).rope).toEqual({ type: 'default', theta: 10000 });
});

test('llama3 scaling leaves short wavelengths, stretches long ones, and blends between', () => {
  const rope: Rope = {
    type: 'llama3',
    theta: 10000,
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const plain = rotaryFrequencies({ type: 'default', theta: 10000 }, 12);
  const scaled = rotaryFrequencies(rope, 12);
  // turns in 64 positions: 10.2 at the first angle, more than 4; 2.19 at the second, between; 0.47 at the third, less than 1
  expect(scaled[0]).toBe(plain[0]);
  const blend = (64 * (plain[1] as number)) / (2 * Math.PI) / 3 - 1 / 3;
  expect(scaled[1]).toBeCloseTo((plain[1] as number) * (blend + (1 - blend) / 8), 12);
  expect(scaled[2]).toBeCloseTo((plain[2] as number) / 8, 12);
});

test('gives windows to the layers that transformers gives them to', () => {
  const window = { num_key_value_heads: 2, sliding_window: 8 };
  const of = (model_type: string, more: Record<string, unknown>) =>
    read({ model_type, ...shape, ...window, ...more }).windows;
  expect(of('mistral', {})).toEqual([8, 8, 8, 8]);
  expect(of('mistral', { sliding_window: null })).toEqual([undefined, undefined, undefined, undefined]);
  expect(of('qwen2', {})).toEqual([undefined, undefined, undefined, undefined]);
  expect(of('qwen2', { use_sliding_window: true, max_window_layers: 3 })).toEqual([undefined, undefined, undefined, 8]);
  const layer_types = ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'];
  expect(of('qwen3', { use_sliding_window: true, layer_types })).toEqual([8, undefined, 8, undefined]);
  expect(of('llama', { layer_types })).toEqual([undefined, undefined, undefined, undefined]);
});

test("takes transformers' own values where keys are missing", () => {
  expect(llama({})).toMatchObject({ keyValueHeads: 4, headSize: 12, activation: 'silu', isTied: false });
  expect(read({ model_type: 'qwen3', ...shape, num_key_value_heads: 2 })).toMatchObject({ headSize: 128 });
  const gpt2 = read({ model_type: 'gpt2', n_embd: 48, n_layer: 3, n_head: 4, vocab_size: 384, n_inner: null });
  expect(gpt2).toMatchObject({ feedForward: 192, activation: 'gelu_new', maxPositions: 1024, isTied: true });
  expect(gpt2).toMatchObject({ attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1 });
});

test('scales attention by layer where gpt2 says so', () => {
  const gpt2 = { model_type: 'gpt2', n_embd: 48, n_layer: 3, n_head: 3, vocab_size: 384 };
  expect(read(gpt2).attentionScales).toEqual([0.25, 0.25, 0.25]);
  const inverse = { scale_attn_weights: false, scale_attn_by_inverse_layer_idx: true };
  expect(read({ ...gpt2, ...inverse }).attentionScales).toEqual([1, 1 / 2, 1 / 3]);
});

const refusals: Record<string, [code: string, says: RegExp, changes: Record<string, unknown>]> = {
  'a missing key': ['MODEL_CONFIG_INVALID', /"vocab_size" is missing/, { vocab_size: undefined }],
  'heads that do not divide the width': ['MODEL_CONFIG_INVALID', /hidden_size.*5 heads/, { num_attention_heads: 5 }],
  'key heads that do not divide the heads': ['MODEL_CONFIG_INVALID', /num_key_value_heads/, { num_key_value_heads: 3 }],
  'odd rotary heads': ['MODEL_CONFIG_INVALID', /head_dim/, { head_dim: 13 }],
  'an unknown rope type': ['MODEL_SETTING_UNSUPPORTED', /yarn/, { rope_scaling: { rope_type: 'yarn', factor: 2 } }],
  'rope without its factor': ['MODEL_CONFIG_INVALID', /rope_scaling\.factor/, { rope_scaling: { type: 'linear' } }],
  'rotary positions on a part of each head': ['MODEL_SETTING_UNSUPPORTED', /partial/, { partial_rotary_factor: 0.5 }],
  'a family that is a property of every object': ['MODEL_FAMILY_UNKNOWN', /toString/, { model_type: 'toString' }],
};
test.each(Object.entries(refusals))('refuses %s', async (_, [code, says, changes]) => {
  const error = await failureOf(() => llama(changes));
  expect(error.code).toBe(code);
  expect(error.message).toMatch(says);
});

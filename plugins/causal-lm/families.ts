/** Names of the modules of a layer, after its prefix. */
export interface LayerNames {
  readonly attentionNorm: string;
  readonly feedForwardNorm: string;
  /** One module for each of query, key and value, or one that yields all three side by side. */
  readonly projections: readonly [query: string, key: string, value: string] | readonly [fused: string];
  readonly attentionOutput: string;
  /** Norms of each head's queries and keys. */
  readonly headNorms?: readonly [query: string, key: string];
  /** Absent where the feed-forward is not gated. */
  readonly gate?: string;
  readonly up: string;
  readonly down: string;
}

/** Whether something is so in every model of a family, in none, or where config.json says so. */
export type Presence = 'always' | 'never' | 'configured';

/** All that tells one family of decoders from another. */
export interface Family {
  readonly norm: 'rms' | 'layer';
  readonly positions: 'rotary' | 'learned';
  readonly linearLayout: 'out,in' | 'in,out';
  readonly projectionBias: Presence;
  readonly attentionOutputBias: Presence;
  readonly feedForwardBias: Presence;
  /** `configured`: layers chosen by `layer_types` or `max_window_layers`. */
  readonly slidingWindow: Presence;
  /** Whether fresh weights that feed the residual are smaller in deeper models (Radford et al. 2019). */
  readonly shrinksResidualInit: boolean;
  /** What base-model checkpoints leave out of every name. */
  readonly prefix: string;
  readonly embedding: string;
  readonly positionEmbedding?: string;
  /** Before a layer's index. */
  readonly layer: string;
  readonly layerNames: LayerNames;
  readonly finalNorm: string;
  readonly head: string;
  /** Weights of old checkpoints that are computed, not learned. */
  readonly ignorable: RegExp;
  /** Keys of config.json, and what transformers takes where one is missing. */
  readonly keys: Readonly<Record<SettingName, string>>;
  readonly defaults: Readonly<Partial<Record<SettingName, number | string | boolean | null>>>;
}

/** Settings that every family has under some key. */
export type SettingName =
  | 'vocabularySize'
  | 'hidden'
  | 'layers'
  | 'heads'
  | 'keyValueHeads'
  | 'headSize'
  | 'feedForward'
  | 'activation'
  | 'normEpsilon'
  | 'maxPositions'
  | 'isTied'
  | 'initializerRange'
  | 'attentionDropout'
  | 'residualDropout'
  | 'embeddingDropout'
  | 'window';

const llama: Family = {
  norm: 'rms',
  positions: 'rotary',
  linearLayout: 'out,in',
  projectionBias: 'configured',
  attentionOutputBias: 'configured',
  feedForwardBias: 'configured',
  slidingWindow: 'never',
  shrinksResidualInit: false,
  prefix: 'model.',
  embedding: 'model.embed_tokens',
  layer: 'model.layers.',
  layerNames: {
    attentionNorm: 'input_layernorm',
    feedForwardNorm: 'post_attention_layernorm',
    projections: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
    attentionOutput: 'self_attn.o_proj',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
  },
  finalNorm: 'model.norm',
  head: 'lm_head',
  ignorable: /\.rotary_emb\.inv_freq$/,
  keys: {
    vocabularySize: 'vocab_size',
    hidden: 'hidden_size',
    layers: 'num_hidden_layers',
    heads: 'num_attention_heads',
    keyValueHeads: 'num_key_value_heads',
    headSize: 'head_dim',
    feedForward: 'intermediate_size',
    activation: 'hidden_act',
    normEpsilon: 'rms_norm_eps',
    maxPositions: 'max_position_embeddings',
    isTied: 'tie_word_embeddings',
    initializerRange: 'initializer_range',
    attentionDropout: 'attention_dropout',
    residualDropout: 'resid_pdrop',
    embeddingDropout: 'embd_pdrop',
    window: 'sliding_window',
  },
  defaults: {
    keyValueHeads: null,
    headSize: null,
    activation: 'silu',
    normEpsilon: 1e-6,
    maxPositions: 2048,
    isTied: false,
    initializerRange: 0.02,
    attentionDropout: 0,
    residualDropout: 0,
    embeddingDropout: 0,
    window: null,
  },
};

const mistral: Family = {
  ...llama,
  projectionBias: 'never',
  attentionOutputBias: 'never',
  feedForwardBias: 'never',
  slidingWindow: 'always',
  defaults: { ...llama.defaults, keyValueHeads: 8, window: 4096 },
};

const qwen2: Family = {
  ...mistral,
  projectionBias: 'always',
  slidingWindow: 'configured',
  defaults: { ...llama.defaults, keyValueHeads: 32, window: 4096 },
};

const qwen3: Family = {
  ...qwen2,
  projectionBias: 'configured',
  attentionOutputBias: 'configured',
  layerNames: { ...llama.layerNames, headNorms: ['self_attn.q_norm', 'self_attn.k_norm'] },
  defaults: { ...qwen2.defaults, headSize: 128 },
};

const gpt2: Family = {
  norm: 'layer',
  positions: 'learned',
  linearLayout: 'in,out',
  projectionBias: 'always',
  attentionOutputBias: 'always',
  feedForwardBias: 'always',
  slidingWindow: 'never',
  shrinksResidualInit: true,
  prefix: 'transformer.',
  embedding: 'transformer.wte',
  positionEmbedding: 'transformer.wpe',
  layer: 'transformer.h.',
  layerNames: {
    attentionNorm: 'ln_1',
    feedForwardNorm: 'ln_2',
    projections: ['attn.c_attn'],
    attentionOutput: 'attn.c_proj',
    up: 'mlp.c_fc',
    down: 'mlp.c_proj',
  },
  finalNorm: 'transformer.ln_f',
  head: 'lm_head',
  ignorable: /\.attn\.(masked_)?bias$/,
  keys: {
    ...llama.keys,
    hidden: 'n_embd',
    layers: 'n_layer',
    heads: 'n_head',
    feedForward: 'n_inner',
    activation: 'activation_function',
    normEpsilon: 'layer_norm_epsilon',
    maxPositions: 'n_positions',
    attentionDropout: 'attn_pdrop',
  },
  defaults: {
    ...llama.defaults,
    feedForward: null,
    activation: 'gelu_new',
    normEpsilon: 1e-5,
    maxPositions: 1024,
    isTied: true,
    attentionDropout: 0.1,
    residualDropout: 0.1,
    embeddingDropout: 0.1,
  },
};

/** The families that Mooring computes, by the `model_type` of config.json. */
export const families: Readonly<Record<string, Family>> = { gpt2, llama, mistral, qwen2, qwen3 };

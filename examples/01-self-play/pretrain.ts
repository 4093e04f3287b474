import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTrainer } from 'mooring';
import { defaults } from 'mooring/plugins';
import { causalLm } from 'mooring/plugins/causal-lm';
import { readCorpus, splitCorpus } from './corpus.ts';
import { nextToken } from './next-token.ts';

// trains the example's base model from nothing: about four million parameters on three quarters of the Brown corpus
const folder = fileURLToPath(new URL('model/', import.meta.url));
const output = fileURLToPath(new URL('../../runs/pretrain', import.meta.url));
const { pretraining, heldOut } = splitCorpus(readCorpus());

const shape = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 256,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 688,
  vocab_size: 4096,
  head_dim: 64,
  attention_bias: false,
  mlp_bias: false,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  tie_word_embeddings: true,
  initializer_range: 0.02,
  pad_token_id: 0,
  eos_token_id: 1,
  dtype: 'bfloat16',
};
writeFileSync(`${folder}config.json`, `${JSON.stringify(shape, null, 1)}\n`);

const trainer = createTrainer({
  model: folder,
  output,
  train: {
    epochs: Number(process.env.EPOCHS ?? 2),
    batchSize: 8,
    learningRate: 2e-3,
    schedule: 'cosine',
    warmupSteps: 100,
    weightDecay: 0.1,
    adam: { beta2: 0.95 },
    saveDtype: 'bfloat16',
  },
})
  .use(...defaults())
  .remove('preference-data')
  .remove('causal-lm')
  .use(causalLm({ initialize: 'random' }), nextToken({ training: pretraining, evaluation: heldOut, time: 128 }));
process.once('SIGINT', () => trainer.requestStop('interrupted'));
const { written, record } = await trainer.train();
console.log(`loss ${record?.loss}, written to ${written.join(', ')}`);

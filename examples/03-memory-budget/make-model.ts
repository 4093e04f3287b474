import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createTrainer, Model, ParameterStore, writeSafetensors } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 768,
  num_hidden_layers: 14,
  num_attention_heads: 12,
  num_key_value_heads: 4,
  intermediate_size: 2048,
  vocab_size: 4096,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  tie_word_embeddings: true,
  initializer_range: 0.02,
  pad_token_id: 0,
  eos_token_id: 1,
};

/** Writes a model of 91 million random parameters, with the tokenizer of another; how many bytes its numbers have. */
export async function makeModel(folder: string, tokenizerOf: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(path.join(tokenizerOf, file), path.join(folder, file));
  writeFileSync(path.join(folder, 'config.json'), `${JSON.stringify(config, null, 1)}\n`);
  return createTrainer({ model: folder })
    .use(causalLm({ initialize: 'random' }))
    .withServices({ model: Model, store: ParameterStore }, async ({ model, store }) => {
      const tensors = model.parameters.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const }));
      await writeSafetensors(path.join(folder, 'model.safetensors'), tensors, async (name) => {
        const value = store.read(name, 'policy');
        return (await value.data().finally(() => value.dispose())) as Float32Array;
      });
      return tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 4), 0);
    });
}

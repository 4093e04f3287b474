// What the scripts that measure resident memory share: a model of 194 MiB, and what this process holds.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const { writeSafetensors } = await import('mooring');
const { createDecoder } = await import('../../../plugins/causal-lm/decoder.ts');

/** Writes a model of 12 layers of 16 MiB each into a folder. */
export async function writeLargeModel(folder) {
  const config = {
    model_type: 'qwen2',
    hidden_size: 512,
    num_hidden_layers: 12,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    intermediate_size: 2048,
    vocab_size: 1024,
    tie_word_embeddings: true,
  };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  const { parameters } = createDecoder(folder, { initialize: 'weights' });
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  await writeSafetensors(
    path.join(folder, 'model.safetensors'),
    parameters.map(({ name, shape }) => ({ name, shape, dtype: 'float32' })),
    (name) => new Float32Array(sizeOf(shapes.get(name))).fill(0.01),
  );
}

export function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** In MiB. VmRSS: now; VmHWM: the highest so far. */
export function resident(figure) {
  const [, kilobytes] = new RegExp(`${figure}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(kilobytes) / 1024;
}

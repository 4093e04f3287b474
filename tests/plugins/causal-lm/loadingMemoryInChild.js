// Without an engine: writes a model of 200 MiB into a folder. With one: loads it and prints, in MiB, how far resident memory
// rose at its highest, how large the model is, and its largest tensor.
import '../../../core/cli/register.js';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const { createTrainer, Model, writeSafetensors } = await import('mooring');
const { openEngine } = await import('../../../core/engine/engine.ts');
const { causalLm } = await import('mooring/plugins/causal-lm');
const { createDecoder } = await import('../../../plugins/causal-lm/decoder.ts');

const [folder = '', engine] = process.argv.slice(2);
if (engine === undefined) await write();
else await load(engine);

async function write() {
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

async function load(engine) {
  await openEngine(engine);
  const start = resident('VmRSS');
  await createTrainer({ model: folder, train: { engine } })
    .use(causalLm())
    .withServices({ model: Model }, ({ model }) => {
      const sizes = model.parameters.map(({ shape }) => (4 * sizeOf(shape)) / 2 ** 20);
      const grown = resident('VmHWM') - start;
      const total = sizes.reduce((sum, size) => sum + size);
      console.log(JSON.stringify({ grown, model: total, largest: Math.max(...sizes) }));
    });
}

function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** VmRSS: now; VmHWM: the highest so far. */
function resident(figure) {
  const [, kilobytes] = new RegExp(`${figure}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(kilobytes) / 1024;
}

// Without a mode: writes a model of 194 MiB, 12 layers of 16 each, into a folder. With `memory` or `disk`: scores with it as
// a reference kept there, and prints, in MiB, how far resident memory rose at its highest, and the sizes of its blocks.
import '../../../core/cli/register.js';
import * as tf from '@tensorflow/tfjs';

const { packRows } = await import('mooring');
const { createDrivers } = await import('../../../core/create-drivers.ts');
const { openEngine } = await import('../../../core/engine/engine.ts');
const { Hooks } = await import('../../../core/hooks/registry.ts');
const { createDecoder } = await import('../../../plugins/causal-lm/decoder.ts');
const { resident, sizeOf, writeLargeModel } = await import('../causal-lm/largeModelInChild.js');
const { createReloadedReference } = await import('../../../plugins/ref-reload/reference.ts');

const [folder = '', offload, engineName = 'native', storage = 'float32'] = process.argv.slice(2);
if (offload === undefined) await writeLargeModel(folder);
else await score();

async function score() {
  const engine = await openEngine(engineName);
  const drivers = createDrivers({ engine, runner: new Hooks().runner, blocks: () => undefined });
  const model = createDecoder(folder, { initialize: 'weights' });
  const sizes = new Map(model.parameters.map(({ name, shape }) => [name, (4 * sizeOf(shape)) / 2 ** 20]));
  const rows = packRows([{ ids: [1, 2, 3, 4, 5, 6, 7, 8], completionStart: 1 }]);
  const pass = { key: 'reference', view: 'reference', gradient: false, rows, outputs: ['logps'] };
  // what an engine sets up when it first computes is not the reference's
  tf.tidy(() => tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).dataSync());

  const start = resident('VmRSS');
  const reference = createReloadedReference({ folder, model, drivers, offload, storage });
  await reference.load();
  const loading = resident('VmHWM') - start;
  for (let at = 0; at < 3; at++) tf.dispose(Object.values(await reference.score(pass)));
  const grown = resident('VmHWM') - start;
  const counted = reference.bytesResident() / 2 ** 20;
  await reference.close();
  reference.dispose();
  const blocks = model.blocks.map(({ parameters }) => sum(Object.values(parameters).map((name) => sizes.get(name))));
  console.log(
    JSON.stringify({
      loading,
      grown,
      counted,
      model: sum([...sizes.values()]),
      largestBlock: Math.max(...blocks),
      largest: Math.max(...sizes.values()),
    }),
  );
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

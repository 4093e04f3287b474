// Without an engine: writes a model of 200 MiB into a folder. With one: loads it, or the part of the first of so many ranks,
// and prints, in MiB, how far resident memory rose at its highest, how large the model is, and its largest tensor.
import '../../../core/cli/register.js';

const { createTrainer, Model } = await import('mooring');
const { openEngine } = await import('../../../core/engine/engine.ts');
const { causalLm } = await import('mooring/plugins/causal-lm');
const { resident, sizeOf, writeLargeModel } = await import('./largeModelInChild.js');

const { alone } = await import('mooring');
const { heldInRanges } = await import('../../core/parameters/sharded.ts');

const [folder = '', engine, ranks = '1'] = process.argv.slice(2);
if (engine === undefined) await writeLargeModel(folder);
else await load(engine);

async function load(engine) {
  await openEngine(engine);
  const start = resident('VmRSS');
  await createTrainer({ model: folder, train: { engine } })
    .use(causalLm(), heldInRanges({ ...alone, ranks: Number(ranks) }))
    .withServices({ model: Model }, ({ model }) => {
      const sizes = model.parameters.map(({ shape }) => (4 * sizeOf(shape)) / 2 ** 20);
      const grown = resident('VmHWM') - start;
      const total = sizes.reduce((sum, size) => sum + size);
      console.log(JSON.stringify({ grown, model: total, largest: Math.max(...sizes) }));
    });
}

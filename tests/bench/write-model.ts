import path from 'node:path';
import { createTrainer, Model, ParameterStore, writeSafetensors } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';

// writes fresh weights beside a config.json: node ... write-model.ts FOLDER
const [folder = '.'] = process.argv.slice(2);
await createTrainer({ model: folder })
  .use(causalLm({ initialize: 'random' }))
  .withServices({ model: Model, store: ParameterStore }, ({ model, store }) =>
    writeSafetensors(
      path.join(folder, 'model.safetensors'),
      model.parameters.map(({ name, shape }) => ({ name, shape, dtype: 'float32' })),
      async (name) => {
        const value = store.read(name, 'policy');
        return (await value.data().finally(() => value.dispose())) as Float32Array;
      },
    ),
  );

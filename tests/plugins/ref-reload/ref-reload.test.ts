import { describe, expect, it } from '@jest/globals';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { modelFolder, trainAgainst } from './support.ts';

const qwen2 = modelFolder('qwen2');

const native =
  readInstalled() === undefined
    ? []
    : ([
        ['native', 'off'],
        ['native', 'on'],
      ] as const);
const modes = [...native, ['wasm', 'off'], ['cpu', 'off']] as const;

describe.each(modes)('on %s, compile %s', (engine, compile) => {
  const train = { engine, compile, steps: engine === 'cpu' ? 1 : 3, batchSize: engine === 'cpu' ? 1 : 4 };

  it.each(['memory', 'disk'] as const)(
    'the folder that training starts from, kept in %s, is as good as a clone',
    async (offload) => {
      const cloned = await trainAgainst(refClone(), { model: qwen2, train });
      const reloaded = await trainAgainst(refReload({ model: qwen2, offload }), { model: qwen2, train });
      expect(reloaded.records).toEqual(cloned.records);
      const said = (each: typeof cloned) =>
        each.logged.find(({ message }) => message.startsWith('reference: '))?.details;
      expect(said(reloaded)).toMatchObject({ kind: 'reload', kl: 0 });
      expect(said(reloaded)).toMatchObject({ fingerprint: (said(cloned) as { fingerprint: string }).fingerprint });
    },
  );
});

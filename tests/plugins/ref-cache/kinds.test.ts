import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { definePlugin, type Plugin, Reference } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { failureOf } from '../../core/support.ts';
import { modelFolder, type Observed, trainAgainst } from '../ref-reload/support.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-kinds-'));
afterAll(() => rmSync(root, { recursive: true }));
const [qwen2, llama] = [modelFolder('qwen2'), modelFolder('llama')];
const lora = { r: 4, targetModules: 'all-linear' };

const kinds: Record<string, () => Plugin> = {
  clone: refClone,
  'adapters-off': () => peftLora(lora),
  'adapter-snapshot': () => peftLora({ ...lora, reference: 'adapter-snapshot' }),
  'reload, memory': () => refReload({ model: llama }),
  'reload, disk': () => refReload({ model: llama, offload: 'disk' }),
};

const said = ({ logged }: Observed) => logged.find(({ message }) => message.startsWith('reference: '));

describe('a cache over the reference of the kind', () => {
  it.each(Object.entries(kinds))('%s gives its figures, in other batches too', async (kind, beneath) => {
    const train = { steps: 3, compile: 'off' } as const;
    const cache = refCache({ directory: path.join(root, kind.replace(', ', '-')) });
    const same = async (batchSize: number) => {
      const input = { model: qwen2, train: { ...train, batchSize } };
      const plain = await trainAgainst(beneath(), input);
      const cached = await trainAgainst(beneath(), { ...input, plugins: [cache] });
      cached.records.forEach((record, step) => {
        const { 'rewards/accuracies': tied, ...figures } = plain.records[step] ?? {};
        for (const [name, value] of Object.entries(figures))
          expect(Math.abs((record[name] ?? Number.NaN) - value)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
      });
      expect(said(cached)?.message).toContain(`reference: cached over ${kind.replace(/,.*/, '')} `);
      const [first, ...later] = cached.memory;
      expect(later.map(({ tensors }) => tensors)).toEqual(later.map(() => first?.tensors));
      const ahead = cached.logged.find(({ message }) => message.includes('had to be scored'));
      return { ...said(cached)?.details, ...ahead?.details } as { scored: number; bytesResident: number };
    };
    expect((await same(4)).scored).toBeGreaterThan(0);
    // the first twelve pairs are there, so that the reference is never asked: one in a folder is not even read into memory
    expect(await same(2)).toMatchObject({ scored: 0, bytesResident: 0 });
  });

  it('reload, stored in fewer bits, is another one, though its folder is the same', async () => {
    const cache = refCache({ directory: path.join(root, 'storage') });
    const input = { model: qwen2, train: { steps: 1, batchSize: 1, compile: 'off' }, plugins: [cache] } as const;
    await trainAgainst(refReload({ model: llama }), input);
    const { code, message } = await failureOf(() =>
      trainAgainst(refReload({ model: llama, storage: 'bfloat16' }), input),
    );
    expect(code).toBe('REF_CACHE_STALE');
    expect(message).toContain(': storage is float32 there and bfloat16 here.');
  });

  it.each(['clone', 'reload, memory'] as const)(
    '%s is another one where the same weights compute otherwise',
    async (kind) => {
      const changed = modelFolder(kind === 'clone' ? 'qwen2' : 'llama');
      const beneath = () => (kind === 'clone' ? refClone() : refReload({ model: changed }));
      const cache = refCache({ directory: path.join(root, `computation-${kind}`) });
      const model = kind === 'clone' ? changed : qwen2;
      const run = () =>
        trainAgainst(beneath(), { model, train: { steps: 1, batchSize: 1, compile: 'off' }, plugins: [cache] });
      await run();
      const file = path.join(changed, 'config.json');
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), rms_norm_eps: 0.01 }));
      const { code, message } = await failureOf(run);
      expect(code).toBe('REF_CACHE_STALE');
      expect(message).toMatch(/: computation is [0-9a-f]{64} there and [0-9a-f]{64} here\./);
    },
  );

  it.each(Object.entries(kinds))('%s is let go only where that frees something', async (kind, beneath) => {
    let isHeld: boolean | undefined;
    const look = definePlugin({
      name: 'look',
      apiVersion: 1,
      uses: { reference: Reference },
      apply: ({ hooks, services }) =>
        hooks.trainBegin.tap(() => {
          isHeld = services.reference.release !== undefined;
        }),
    });
    await trainAgainst(beneath(), {
      model: qwen2,
      train: { steps: 1, batchSize: 1, compile: 'off' },
      plugins: [look()],
    });
    expect(isHeld).toBe(!['adapters-off', 'reload, disk'].includes(kind));
  });
});

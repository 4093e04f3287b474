import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { createTrainer, Driver, Engine, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { Adapters, peftLora } from 'mooring/plugins/peft-lora';
import { fixture } from '../causal-lm/support.ts';
import { distance, logitsOf, rowsOfFixture, train, workspace } from './support.ts';

const adapter = join(import.meta.dirname, '../../fixtures/peft/llama_regex');

afterAll(() => rmSync(workspace, { recursive: true }));

/** Logits, and bytes that the model takes, over a base that is stored so. */
function open<Result>(name: string, storage: 'float32' | 'bfloat16', body: (opened: Opened) => Promise<Result>) {
  const uses = { driver: Driver, store: ParameterStore, engine: Engine, adapters: Adapters };
  const trainer = createTrainer({ model: fixture(name), train: { engine: 'native' } });
  return trainer.use(causalLm(), peftLora({ adapter, reference: 'none', storage })).withServices(uses, body);
}

it('holds the base in half the bytes, and computes the same over one that was bfloat16 before', async () => {
  const rows = await rowsOfFixture('llama');
  const figures = ({ driver, store, engine }: Opened) => {
    const base = store.names.filter((name) => !name.startsWith('default/'));
    const storages = new Set(base.map((name) => store.storage(name, 'policy')));
    return logitsOf(driver, rows).then((logits) => ({ logits, storages: [...storages], bytes: engine.memory().bytes }));
  };
  const wide = await open('llama-bf16-sharded', 'float32', figures);
  const narrow = await open('llama-bf16-sharded', 'bfloat16', async (opened) => {
    const found = await figures(opened);
    const before = await opened.store.fingerprint('policy');
    await opened.adapters.merge();
    opened.adapters.unmerge();
    expect(await opened.store.fingerprint('policy')).toBe(before);
    return found;
  });
  expect([wide.storages, narrow.storages]).toEqual([['float32'], ['bfloat16']]);
  expect(distance(narrow.logits, wide.logits, rows)).toBe(0);
  expect(narrow.bytes).toBeLessThan(0.56 * wide.bytes);
});

it('trains over it, with a KL of 0 at step 0', async () => {
  const { records, messages } = await train('qwen2', { storage: 'bfloat16', targetModules: 'all-linear', bias: 'all' });
  expect(records[0]?.loss).toBeCloseTo(Math.log(2), 6);
  expect(records[1]?.loss).toBeLessThan((records[0]?.loss as number) - 1e-3);
  expect(messages.join('\n')).toMatch(/adapters-off \w+, KL at step 0 is 0(,|$)/m);
});

it('is refused under PiSSA, which would round what it leaves of the base', async () => {
  const both = train('qwen2', { storage: 'bfloat16', initialization: 'pissa' });
  await expect(both).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining('pissa') });
});

interface Opened {
  readonly driver: Driver;
  readonly store: ParameterStore;
  readonly engine: Engine;
  readonly adapters: Adapters;
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { createTrainer, Driver, openSafetensors, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { Adapters, peftLora } from 'mooring/plugins/peft-lora';
import { fixture, readExpected } from '../causal-lm/support.ts';
import { distance, logitsOf, rowsOfFixture } from './support.ts';

const folder = join(import.meta.dirname, '../../fixtures/peft');
const expected: Record<string, { base: string }> = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
const uses = { driver: Driver, adapters: Adapters, store: ParameterStore };

/** The tolerance of the fixtures' README. */
const within = 2e-4;

describe.each(Object.entries(expected))('the adapter that PEFT saved as %s', (name, { base }) => {
  it("gives PEFT's logits, the base's when it is off, and PEFT's again when it is merged, and comes out bit for bit", async () => {
    const ours = await readExpected(fixture(base));
    const rows = await rowsOfFixture(base);
    const theirs = await readLogits(name);
    const trainer = createTrainer({ model: fixture(base), train: { engine: 'native' } });
    trainer.use(causalLm(), peftLora({ adapter: join(folder, name), reference: 'none' }));
    await trainer.withServices(uses, async ({ driver, adapters, store }) => {
      const logits = () => logitsOf(driver, rows);
      const enabled = await logits();
      expect(distance(enabled, theirs.enabled, rows)).toBeLessThan(within);
      const disabled = await adapters.withoutAdapters(logits);
      expect(distance(disabled, ours.tensors.logits as Float32Array, rows)).toBeLessThan(within);
      if (name !== 'qwen2_bias_lora_only') expect(distance(disabled, theirs.disabled, rows)).toBeLessThan(within);

      const before = await store.fingerprint('policy');
      await adapters.merge();
      expect(distance(await logits(), theirs.enabled, rows)).toBeLessThan(within);
      expect(() => adapters.withoutAdapters(() => {})).toThrow(expect.objectContaining({ code: 'ADAPTER_IS_MERGED' }));
      adapters.unmerge();
      expect(await store.fingerprint('policy')).toBe(before);
      expect(await logits()).toEqual(enabled);
    });
  });
});

async function readLogits(name: string) {
  const source = await openSafetensors(join(folder, name, 'expected.safetensors'));
  try {
    const read = async (tensor: string) => (await source.readTensor(tensor)) as Float32Array;
    return { enabled: await read('logits_enabled'), disabled: await read('logits_disabled') };
  } finally {
    await source.close();
  }
}

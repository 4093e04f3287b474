import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { createTrainer, Driver, Generator, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { Adapters, peftLora } from 'mooring/plugins/peft-lora';
import { fixture, passOf } from '../causal-lm/support.ts';
import { distance, logitsOf, rowsOfFixture, train, workspace } from './support.ts';

const folder = join(import.meta.dirname, '../../fixtures/peft');
const adapter = join(folder, 'qwen2_attention');
const adapters = { rslora: join(folder, 'qwen2_all_linear_rslora'), dora: join(folder, 'qwen2_dora') };

afterAll(() => rmSync(workspace, { recursive: true }));

it('keeps several adapters by name, each of which gives what it gives alone', async () => {
  const rows = await rowsOfFixture('qwen2');
  const uses = { driver: Driver, adapters: Adapters, generator: Generator, store: ParameterStore };
  const open = <Result>(options: Parameters<typeof peftLora>[0], body: (services: Opened) => Promise<Result>) => {
    const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'native' } });
    return trainer.use(causalLm(), peftLora({ reference: 'none', ...options })).withServices(uses, body);
  };
  const figures = async ({ driver, generator }: Opened) => ({
    logits: await logitsOf(driver, rows),
    tokens: await generator.generate([[5, 6, 7]], { maxNewTokens: 6, ignoreEos: true }),
  });
  const alone = {
    default: await open({ adapter }, figures),
    rslora: await open({ adapter: adapters.rslora }, figures),
    dora: await open({ adapter: adapters.dora }, figures),
  };
  await open({ adapter, adapters }, async (opened) => {
    const { adapters: switched, store } = opened;
    expect(switched.names).toEqual(['default', 'rslora', 'dora']);
    for (const [name, wanted] of Object.entries(alone)) {
      const found = await switched.withAdapter(name, () => figures(opened));
      expect(distance(found.logits, wanted.logits, rows)).toBe(0);
      expect(found.tokens).toEqual(wanted.tokens);
    }
    switched.use('dora');
    expect((await figures(opened)).tokens).toEqual(alone.dora.tokens);
    const [one, other] = await Promise.all([
      switched.withAdapter('rslora', () => figures(opened)),
      switched.withAdapter('default', () => figures(opened)),
    ]);
    expect([one.tokens, other.tokens]).toEqual([alone.rslora.tokens, alone.default.tokens]);
    expect(store.names.filter((name) => store.isTrainable(name)).every((name) => name.startsWith('default/'))).toBe(
      true,
    );
  });
});

it('trains the one, leaves the others as they are, and takes the tensors of all of them with it', async () => {
  const before = tf.memory().numTensors;
  const { records } = await train('qwen2', { adapter, adapters }, { steps: 2 });
  expect(records[1]?.loss).toBeLessThan(records[0]?.loss as number);
  expect(tf.memory().numTensors).toBe(before);
});

it('refuses to train where the trained adapter has no part, and leaves no tensor of a merge that was for good', async () => {
  const before = tf.memory().numTensors;
  const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'native' } });
  trainer.use(causalLm(), peftLora({ adapter, adapters, reference: 'none' }));
  const rows = await rowsOfFixture('qwen2');
  await trainer.withServices({ driver: Driver, adapters: Adapters }, async ({ driver, adapters: switched }) => {
    const learn = () => driver.forward({ ...passOf(rows, ['logps']), gradient: true });
    const refused = expect.objectContaining({ code: 'ADAPTER_NOT_TRAINED' });
    expect(() => switched.withoutAdapters(learn)).toThrow(refused);
    expect(() => switched.withAdapter('rslora', learn)).toThrow(refused);
    await switched.merge();
    expect(learn).toThrow(refused);
  });
  expect(tf.memory().numTensors).toBe(before);
});

interface Opened {
  readonly driver: Driver;
  readonly adapters: Adapters;
  readonly generator: Generator;
  readonly store: ParameterStore;
}

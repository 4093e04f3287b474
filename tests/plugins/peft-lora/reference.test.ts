import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { definePlugin, Engine, Optimizer, ParameterStore, Reference } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { toyRun } from 'mooring/testing';

const output = mkdtempSync(join(tmpdir(), 'mooring-peft-'));
afterAll(() => rmSync(output, { recursive: true }));

const lora = { r: 2, targetModules: ['tokens'] };

/** Trains the toy with the plugin, and looks at reference and store before the first step and after the last. */
async function train(options: Parameters<typeof peftLora>[0], folder?: string) {
  const seen: { kind?: string; bytes: number[]; fingerprints: string[]; movable?: readonly string[] | undefined } = {
    bytes: [],
    fingerprints: [],
  };
  const look = definePlugin({
    name: 'look',
    apiVersion: 1,
    uses: { store: ParameterStore, reference: Reference, engine: Engine },
    apply({ hooks, services }) {
      const see = async () => {
        const { reference } = services;
        seen.kind = reference.kind;
        seen.movable = reference.parameters?.names;
        seen.bytes.push(reference.bytesResident());
        seen.fingerprints.push(await reference.fingerprint());
      };
      hooks.trainBegin.tap(see);
      hooks.trainEnd.tap(see);
    },
  });
  const { trainer, logged } = toyRun([peftLora(options), look()], { steps: 3 }, folder);
  const { written } = await trainer.train();
  const said = logged.find(({ message }) => message.startsWith('reference:'));
  const { kl = Number.NaN } = (said?.details ?? {}) as { kl?: number };
  return { ...seen, written, said, kl };
}

describe('the reference of adapters', () => {
  it('is the base with adapters off, at no cost, while the adapter adds nothing', async () => {
    const { kind, bytes, fingerprints, movable, said } = await train(lora);
    expect({ kind, bytes, movable }).toEqual({ kind: 'adapters-off', bytes: [0, 0], movable: undefined });
    expect(fingerprints[0]).toBe(fingerprints[1]);
    expect(said?.details).toMatchObject({ kind: 'adapters-off', kl: 0, bytesResident: 0 });
  });

  it("is a snapshot of a trained adapter, which costs the adapter's bytes once it is trained on", async () => {
    const first = await train({ ...lora, reference: 'none' }, output).catch((error) => error);
    expect(first.code).toBe('SERVICE_MISSING'); // the one that looks at the reference
    const { written } = await train(lora, output);
    const adapter = written.find((each) => each.endsWith('adapter')) as string;
    const { kind, bytes, fingerprints, movable, said } = await train({ adapter });
    // A [2, 8] and B [4, 2] in float32
    expect({ kind, bytes }).toEqual({ kind: 'adapter-snapshot', bytes: [0, 4 * (2 * 8 + 4 * 2)] });
    expect(movable).toEqual(['default/embedding.tokens.lora_embedding_A', 'default/embedding.tokens.lora_embedding_B']);
    expect(fingerprints[0]).toBe(fingerprints[1]);
    expect(said?.details).toMatchObject({ kind: 'adapter-snapshot', kl: 0, bytesResident: 0 });

    await expect(train({ adapter, reference: 'adapters-off' })).rejects.toMatchObject({
      code: 'ADAPTER_REFERENCE_TRAINED',
      message: expect.stringContaining('the adapter already changes "embedding.tokens"'),
    });
    const raw = await train({ adapter, reference: 'adapters-off', allowRawBase: true });
    expect(raw.kind).toBe('adapters-off');
    expect(raw.kl).toBeGreaterThan(1e-5);
    expect(raw.said?.message).toContain('since the adapter already changes "embedding.tokens"');
  });

  it('is a snapshot where one is asked for, of an adapter that adds nothing too', async () => {
    const { kind, bytes } = await train({ ...lora, reference: 'adapter-snapshot' });
    expect(kind).toBe('adapter-snapshot');
    expect(bytes).toEqual([0, 4 * (2 * 8 + 4 * 2)]);
  });

  it('tells trained copies from the base by their content', async () => {
    const saving = { ...lora, modulesToSave: ['head'] };
    const { kind, written } = await train(saving, output);
    expect(kind).toBe('adapters-off');
    const adapter = written.find((each) => each.endsWith('adapter')) as string;
    expect((await train({ adapter })).kind).toBe('adapter-snapshot');
  });
});

describe('the base of adapters', () => {
  it('is never trained: no gradient, no optimizer state, no buffer and no change', async () => {
    const fingerprints: string[] = [];
    const graded = new Set<string>();
    const states = new Set<string>();
    const buffers: number[] = [];
    const look = definePlugin({
      name: 'look',
      apiVersion: 1,
      uses: { store: ParameterStore, engine: Engine, optimizer: Optimizer },
      apply({ hooks, services }) {
        const base = () => services.store.names.filter((name) => !name.startsWith('default/'));
        const see = async () => void fingerprints.push(await services.store.fingerprint('policy', base()));
        hooks.trainBegin.tap(see);
        hooks.gradientsReady.tap(({ gradients }) => {
          for (const name of gradients.names) graded.add(name);
        });
        hooks.stepEnd.tap(() => void buffers.push(services.engine.memory().bytes));
        hooks.trainEnd.tap(see);
        hooks.trainEnd.tap(() => {
          for (const [name, value] of services.optimizer.save().tensors) {
            states.add(name.replace(/\/exp_avg(_sq)?$/, ''));
            value.dispose();
          }
        });
      },
    });
    await toyRun([peftLora({ ...lora, bias: 'all' }), look()], { weightDecay: 0.1 }).trainer.train();
    expect(fingerprints[1]).toBe(fingerprints[0]);
    expect([...graded].sort()).toEqual([
      'default/embedding.tokens.lora_embedding_A',
      'default/embedding.tokens.lora_embedding_B',
      'default/head.bias',
    ]);
    expect(states).toEqual(graded);
    expect(new Set(buffers).size).toBe(1);
  });

  it('leaks no tensor in a run', async () => {
    const run = () => toyRun([peftLora({ ...lora, dora: false, modulesToSave: ['head'] })]).trainer.train();
    await run();
    const before = tf.memory().numTensors;
    await run();
    expect(tf.memory().numTensors).toBe(before);
  });
});

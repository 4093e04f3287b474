import { expect, it } from '@jest/globals';
import { Models, type Plugin } from 'mooring';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { refReload } from 'mooring/plugins/ref-reload';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks } from 'mooring/testing';
import { plugin } from '../../core/support.ts';
import { modelFolder, type Observed, trainAgainst } from './support.ts';

const [policy, reference] = [modelFolder('qwen2'), modelFolder('llama')];

/** Of the reference: elements in all, and of its vectors, which are whole on every rank. */
const [elements, vectors] = [106_320, 336];
const persistenceThreshold = 64;

interface Seen extends Observed {
  /** That were read of the reference, each time that they were. */
  readonly elements: number;
  /** Of the reference, before the first step. */
  readonly bytes: number;
}

/** Counts elements that are read of another model's weights. */
function counting(count: { elements: number }): Plugin {
  return plugin('counting', ({ decorate }) =>
    decorate(Models, {
      uses: {},
      create: (inner) => ({
        open(folder) {
          const model = inner.open(folder);
          const { openWeights } = model;
          if (openWeights === undefined) return model;
          return {
            ...model,
            async openWeights() {
              const weights = await openWeights();
              return {
                ...weights,
                async *read(...asked: Parameters<typeof weights.read>) {
                  for await (const read of weights.read(...asked)) {
                    count.elements += read[1].size;
                    yield read;
                  }
                },
              };
            },
          };
        },
      }),
    }),
  );
}

/** What each rank saw of two steps against a reference with the given options, and how many of its elements it read. */
function trainOn(ranks: number, options: Pick<NonNullable<Parameters<typeof refReload>[0]>, 'offload' | 'storage'>) {
  return inRanks(ranks, async (collectives): Promise<Seen> => {
    const count = { elements: 0 };
    const sharded = [zero3Shard({ persistenceThreshold }), givenRanks(collectives, 'zero3-shard')];
    const plugins = [klPenalty({ beta: 0.1 }), counting(count), ...(ranks === 1 ? [] : sharded)];
    const train = { steps: 2, batchSize: 2, compile: 'off' } as const;
    const seen = await trainAgainst(refReload({ model: reference, ...options }), { model: policy, train, plugins });
    const said = seen.logged.find(({ message }) => message.startsWith('reference: '))?.details;
    return { ...seen, ...count, bytes: (said as { bytesResident: number }).bytesResident };
  });
}

const modes = [
  ['memory', 'float32'],
  ['memory', 'bfloat16'],
  ['disk', 'float32'],
] as const;

it.each(modes)(
  'another model on %s in %s, for the reference of a sharded policy: each rank reads and holds its part, for the figures of one',
  async (offload, storage) => {
    const [alone] = (await trainOn(1, { offload, storage })) as [Seen];
    const passes = offload === 'disk' ? 3 : 1; // of step 0, and of two steps
    expect(alone.elements).toBe(passes * elements);
    for (const { records, elements: read, bytes } of await trainOn(2, { offload, storage })) {
      expect(read).toBe(passes * ((elements - vectors) / 2 + vectors));
      expect(bytes).toBe(offload === 'disk' ? 0 : (storage === 'float32' ? 4 : 2) * read);
      for (const [step, expected] of alone.records.entries()) {
        const near = Object.entries(expected).map(([name, value]) => [name, expect.closeTo(value, 4)]);
        expect(records[step]).toEqual(Object.fromEntries(near));
      }
    }
    expect(alone.records[0]).toHaveProperty('kl/policy_reference');
  },
);

import { describe, expect, test } from '@jest/globals';
import { createTrainer, Model, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { inRanks } from 'mooring/testing';
import { heldInRanges } from '../../core/parameters/sharded.ts';
import { fixture, withModel } from './support.ts';

type Values = Readonly<Record<string, Buffer>>;

/** What one process holds of a folder's model. */
function wholeValues(folder: string, options: Parameters<typeof causalLm>[0]) {
  return withModel(folder, 'cpu', async ({ store }) => valuesIn(store), options);
}

function valuesIn(store: ParameterStore): Values {
  const values = store.names.map((name) => {
    const shard = store.readShard(name, 'policy');
    const bytes = Buffer.from(shard.dataSync<'float32'>().slice().buffer);
    shard.dispose();
    return [name, bytes] as const;
  });
  return Object.fromEntries(values);
}

const sources = [
  ['f32', 'qwen2', 'weights'],
  ['bf16 in several files', 'llama-bf16-sharded', 'weights'],
  ['a random start', 'gpt2', 'random'],
] as const;

describe.each(sources)('loading %s', (_, name, initialize) => {
  test.each([1, 3, 7])('gives each of %i ranks its part, and together the whole', async (ranks) => {
    const folder = fixture(name);
    const parts = await inRanks(ranks, (collectives) =>
      createTrainer({ model: folder, train: { engine: 'cpu' } })
        .use(causalLm({ initialize }), heldInRanges(collectives))
        .withServices({ store: ParameterStore, model: Model }, async ({ store, model }) => ({
          values: valuesIn(store),
          fingerprints: [await store.fingerprint('policy'), ...(await fingerprintOfFiles(model, collectives))],
        })),
    );
    const whole = await wholeValues(folder, { initialize });
    const joined = Object.keys(whole).map((parameter) => {
      return [parameter, Buffer.concat(parts.map(({ values }) => values[parameter] as Buffer))] as const;
    });
    // element by element would take seconds
    expect(joined.filter(([parameter, bytes]) => !bytes.equals(whole[parameter] as Buffer))).toEqual([]);
    const alone = await withModel(folder, 'cpu', ({ store }) => store.fingerprint('policy'), { initialize });
    for (const { fingerprints } of parts) expect(new Set([alone, ...fingerprints])).toEqual(new Set([alone]));
  });
});

/** Of the weights in the files, each rank reading its share; where they are in none, none. */
async function fingerprintOfFiles(model: Model, collectives: Parameters<typeof heldInRanges>[0]): Promise<string[]> {
  const weights = await model.openWeights?.();
  if (weights === undefined) return [];
  await weights.prefetch(
    model.parameters.map(({ name }) => name),
    () => ({ begin: 2, end: 5 }),
  );
  return weights
    .fingerprint(collectives)
    .then((value) => [value])
    .finally(() => weights.close());
}

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Collectives, definePlugin, type Payload, type Plugin } from 'mooring';
import { checkpoint } from 'mooring/plugins/checkpoint';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refClone } from 'mooring/plugins/ref-clone';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { findCheckpoint } from '../../../core/checkpoint/find-checkpoint.ts';
import { quiet } from '../../core/support.ts';

const home = mkdtempSync(path.join(tmpdir(), 'mooring-ranks-'));
afterAll(() => rmSync(home, { recursive: true }));

const counts = [1, 2, 3, 4] as const;

/** References, and the files that a checkpoint has for them. */
const references: Record<string, { readonly plugins: () => Plugin[]; readonly files: readonly string[] }> = {
  'a clone': { plugins: () => [refClone()], files: [] },
  'a clone that is mixed': {
    plugins: () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 0.5 })],
    files: ['reference.safetensors'],
  },
  'a clone in bfloat16 that follows an average': {
    plugins: () => [refClone({ storage: 'bfloat16' }), syncRefModel({ everySteps: 1, bema: { everySteps: 1 } })],
    files: ['plugin-sync-ref-model.safetensors', 'reference.safetensors'],
  },
  'its adapters off': { plugins: () => [peftLora({ r: 2, targetModules: ['scores', 'tokens'] })], files: [] },
  'the snapshot of an adapter, mixed with it': {
    plugins: () => [
      peftLora({ r: 2, targetModules: ['scores'], reference: 'adapter-snapshot' }),
      syncRefModel({ everySteps: 1 }),
    ],
    files: ['reference.safetensors'],
  },
};

/** Saves what a run is at a hook. */
function savedAt(hook: 'trainBegin' | 'trainEnd', folder: string): Plugin {
  return definePlugin({
    name: 'saved-at',
    apiVersion: 1,
    preservesTraining: true,
    apply: ({ hooks }) => hooks[hook].tap(({ run }) => run.saveState(folder)),
  })();
}

function sharded(collectives: Collectives, persistenceThreshold: number): Plugin[] {
  return [zero3Shard({ persistenceThreshold }), givenRanks(collectives, 'zero3-shard')];
}

/** Trains on so many ranks and saves the end. */
async function save(ranks: number, reference: () => Plugin[], name: string, threshold = 0): Promise<string> {
  const folder = path.join(home, name);
  await inRanks(ranks, (collectives) =>
    toyRun([...reference(), ...sharded(collectives, threshold), savedAt('trainEnd', folder)]).trainer.train(),
  );
  return folder;
}

/** Goes on with what was saved, and saves it again before anything is trained. */
async function again(
  ranks: number,
  reference: () => Plugin[],
  from: string,
  name: string,
  plugins = sharded,
  threshold = 0,
) {
  const folder = path.join(home, name);
  const logs = await inRanks(ranks, async (collectives) => {
    const { trainer, logged } = toyRun([
      ...reference(),
      ...plugins(collectives, threshold),
      savedAt('trainBegin', folder),
    ]);
    await trainer.train({ resume: from });
    return logged.filter(({ level }) => level === 'warn').map(({ message }) => message);
  });
  return { folder, warned: logs[0] ?? [] };
}

/** The files that differ, of those that hold tensors. */
function differing(one: string, other: string): string[] {
  const tensors = readdirSync(one).filter((name) => name.endsWith('.safetensors'));
  expect(readdirSync(other).filter((name) => name.endsWith('.safetensors'))).toEqual(tensors);
  return tensors.filter((name) => !readFileSync(path.join(one, name)).equals(readFileSync(path.join(other, name))));
}

describe.each(Object.entries(references))('a checkpoint with %s', (kind, { plugins: reference, files }) => {
  const saved: Record<number, string> = {};
  beforeAll(async () => {
    for (const ranks of counts) saved[ranks] = await save(ranks, reference, `${kind} ${ranks}`);
  });

  test.each(counts.flatMap((from) => counts.map((to) => [from, to] as const)))(
    'of %i ranks is gone on from on %i, bit for bit',
    async (from, to) => {
      const { folder, warned } = await again(to, reference, saved[from] as string, `${kind} ${from} to ${to}`);
      expect(differing(saved[from] as string, folder)).toEqual([]);
      const usual = ['manifest.json', 'optimizer.safetensors', 'policy.safetensors', 'state.json'];
      expect(readdirSync(folder).sort()).toEqual([...usual, ...files].sort());
      const warning = `ranks was ${from} and is ${to}`;
      expect(warned.filter((message) => message.includes(warning))).toHaveLength(from === to ? 0 : 1);
    },
  );

  test('has the same tensors, in the same places, for any number of ranks', () => {
    const headers = counts.map((ranks) => {
      const folder = saved[ranks] as string;
      const names = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
      return names.map((name) => {
        const bytes = readFileSync(path.join(folder, name));
        return [name, bytes.length, bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()];
      });
    });
    for (const header of headers) expect(header).toEqual(headers[0]);
  });

  test('of three ranks is gone on from without shards, and back', async () => {
    const none = await again(1, reference, saved[3] as string, `${kind} unsharded`, () => []);
    expect(differing(saved[3] as string, none.folder)).toEqual([]);
    const back = await again(2, reference, none.folder, `${kind} back`, sharded, 8);
    expect(differing(saved[3] as string, back.folder)).toEqual([]);
  });
});

test('ranks that hold nothing of a parameter write and read nothing of it', async () => {
  // a bias of 8 is four pairs, for seven ranks and for five
  const { plugins } = references['a clone that is mixed'] as (typeof references)[string];
  const from = await save(7, plugins, 'seven');
  const { folder } = await again(5, plugins, from, 'five');
  expect(differing(from, folder)).toEqual([]);
  const { folder: whole } = await again(1, plugins, folder, 'one of five');
  expect(differing(from, whole)).toEqual([]);
});

test('ranks that do not see the checkpoint get it from the first', async () => {
  const { plugins } = references['a clone in bfloat16 that follows an average'] as (typeof references)[string];
  const from = await save(2, plugins, 'on one host');
  const elsewhere = (collectives: Collectives): Plugin[] =>
    sharded(
      { ...collectives, allGather: (own, sizes, of) => lost(collectives, collectives.allGather(own, sizes, of), of) },
      0,
    );
  const { folder } = await again(3, plugins, from, 'on another', elsewhere);
  expect(differing(from, folder)).toEqual([]);
});

/** What is told, but for the place of the checkpoint: to all but the first rank it is one where nothing is. */
async function lost<Data extends Payload>({ rank }: Collectives, told: Promise<Data>, of: string): Promise<Data> {
  const data = await told;
  return rank > 0 && of === 'the checkpoint to go on from' ? (data.map(() => 120) as Data) : data;
}

test.each([1, 2, 3] as const)(
  'ranks that go on from the middle are where they would have been, bit for bit: stage %i',
  async (stage) => {
    const reference = () => [refClone(), syncRefModel({ everySteps: 1, mixupAlpha: 0.5 })];
    const train = async (ranks: number, name: string, steps: number, resume?: string) => {
      const folder = path.join(home, `${name} at stage ${stage}`);
      await inRanks(ranks, (collectives) =>
        toyRun(
          [
            ...reference(),
            zero3Shard({ stage, persistenceThreshold: 0 }),
            givenRanks(collectives, 'zero3-shard'),
            savedAt('trainEnd', folder),
          ],
          { steps },
        ).trainer.train({
          resume: resume ?? false,
        }),
      );
      return folder;
    };
    const middle = await train(3, 'middle', 2);
    const whole = await train(3, 'whole', 4);
    const parts = await train(3, 'parts', 4, middle);
    expect(differing(whole, parts)).toEqual([]);
  },
);

test('whenever ranks are killed while they write, what resume trusts is whole', async () => {
  const output = path.join(home, 'killed');
  const images: string[] = [];
  const probe = await open(home);
  const prototype = Object.getPrototypeOf(probe);
  await probe.close();
  const methods = ['write', 'writeFile', 'truncate', 'sync'] as const;
  const spies = methods.map((method) => {
    const original = prototype[method];
    return jest.spyOn(prototype, method).mockImplementation(function (this: unknown, ...given) {
      // the disk as it is before the call, whichever rank makes it
      const image = path.join(home, `image-${images.length}`);
      if (existsSync(path.join(output, 'checkpoints'))) {
        cpSync(output, image, { recursive: true });
        images.push(image);
      }
      return original.apply(this, given);
    });
  });
  try {
    await inRanks(2, (collectives) => {
      const saving = checkpoint({ everySteps: 1, keepLast: 9 });
      return toyRun([refClone(), saving, ...sharded(collectives, 0)], { steps: 3 }, output).trainer.train();
    });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(images.length).toBeGreaterThan(30);
  const steps = new Set<string>();
  for (const image of images) {
    const newest = await findCheckpoint(true, image, quiet);
    if (newest === undefined) continue;
    steps.add(path.basename(newest));
    const whole = path.join(output, 'checkpoints', path.basename(newest));
    for (const name of readdirSync(whole))
      expect(readFileSync(path.join(newest, name)).equals(readFileSync(path.join(whole, name)))).toBe(true);
  }
  expect([...steps]).toEqual(['step-1', 'step-2', 'step-3']);
});

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Collectives,
  rangeOf,
  type Writers,
  writeFolderAside,
  writeSafetensors,
  writeSafetensorsTogether,
} from 'mooring';
import { inRanks } from 'mooring/testing';
import { failureOf } from '../support.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'mooring-together-'));
});

const dtypes = ['float32', 'bfloat16', 'float16', 'int32'] as const;
const someSpecs = fc
  .uniqueArray(
    fc.tuple(fc.string({ minLength: 1 }), fc.constantFrom(...dtypes), fc.array(fc.nat({ max: 5 }), { maxLength: 3 })),
    {
      selector: ([name]) => name,
      maxLength: 5,
    },
  )
  .map((all) => all.map(([name, dtype, shape]) => ({ name, dtype, shape })));
type Spec = (typeof someSpecs extends fc.Arbitrary<infer Specs> ? Specs : never)[number];

const elementsOf = ({ shape }: Pick<Spec, 'shape'>) => shape.reduce((product, size) => product * size, 1);

function valuesOf({ name, dtype, ...spec }: Spec): Float32Array | Int32Array {
  const values = Float32Array.from({ length: elementsOf({ ...spec }) }, (_, at) => name.length + at * 1.37 - 9);
  return dtype === 'int32' ? Int32Array.from(values) : values;
}

/** What a rank has of a tensor: every third is whole on all ranks, and then the first writes it. */
function partOf(spec: Spec, at: number, { rank, ranks }: Collectives) {
  const elements = elementsOf(spec);
  const all = { begin: 0, end: elements };
  const range = at % 3 < 2 ? rangeOf(elements, rank, ranks) : rank === 0 ? all : { begin: 0, end: 0 };
  return { range, read: () => valuesOf(spec).subarray(range.begin, range.end) };
}

function write(file: string, specs: readonly Spec[], writers: Writers) {
  const at = (name: string) => specs.findIndex((spec) => spec.name === name);
  const part = (name: string) => partOf(specs[at(name)] as Spec, at(name), writers.collectives);
  return writeSafetensorsTogether(file, specs, part, writers);
}

describe.each([
  ['into one file', true],
  ['through the first rank', false],
])('ranks that write %s', (_, isShared) => {
  test.each([1, 2, 3, 5])('write what one rank does of the whole, byte for byte: %i', async (ranks) => {
    const property = fc.asyncProperty(someSpecs, async (specs) => {
      const folder = mkdtempSync(path.join(home, 'each-'));
      const [one, together] = ['one', 'together'].map((name) => path.join(folder, name)) as [string, string];
      await writeSafetensors(one, specs, (name) => valuesOf(specs.find((spec) => spec.name === name) as Spec));
      await inRanks(ranks, (collectives) => write(together, specs, { collectives, isShared }));
      expect(readFileSync(together).equals(readFileSync(one))).toBe(true);
    });
    await fc.assert(property, { numRuns: 25 });
  });

  test('write a tensor of several pieces', async () => {
    const specs = dtypes.map((dtype) => ({ name: dtype, dtype, shape: [3, 2 ** 20 + 7] }));
    const [one, together] = ['one', 'together'].map((name) => path.join(home, name)) as [string, string];
    await writeSafetensors(one, specs, (name) => valuesOf(specs.find((spec) => spec.name === name) as Spec));
    await inRanks(2, (collectives) => write(together, specs, { collectives, isShared }));
    expect(readFileSync(together).equals(readFileSync(one))).toBe(true);
  });

  test('refuse parts that leave a hole or lie over one another', async () => {
    const specs = [{ name: 'alpha', dtype: 'float32', shape: [6] }] as const;
    for (const wrong of [
      { begin: 4, end: 6 },
      { begin: 2, end: 6 },
    ]) {
      const part = ({ rank }: Collectives) => {
        const { begin, end } = rank === 0 ? { begin: 0, end: 3 } : wrong;
        return { range: { begin, end }, read: () => new Float32Array(end - begin) };
      };
      const writing = inRanks(2, (collectives) =>
        writeSafetensorsTogether(path.join(home, 'alpha'), specs, () => part(collectives), { collectives, isShared }),
      );
      expect((await failureOf(() => writing)).code).toBe('SAFETENSORS_VALUES_MISFIT');
    }
  });

  test.each([0, 1, 2])('all fail and leave nothing where a tensor of rank %i cannot be read', async (failing) => {
    const target = path.join(home, 'model');
    await mkdir(target);
    writeFileSync(path.join(target, 'old'), '');
    const specs = ['alpha', 'bravo'].map((name): Spec => ({ name, dtype: 'float32', shape: [9] }));
    const codes = await inRanks(3, async (collectives) => {
      const writing = writeFolderAside(
        target,
        (temporary) =>
          writeSafetensorsTogether(
            path.join(temporary, 'model.safetensors'),
            specs,
            (name) => {
              const part = partOf({ ...(specs[0] as Spec), name }, 0, collectives);
              const fails = name === 'bravo' && collectives.rank === failing;
              return fails ? { ...part, read: () => Promise.reject(new TypeError('lost')) } : part;
            },
            { collectives, isShared },
          ),
        collectives,
      );
      return writing.then(
        () => 'written',
        (error) => error.code ?? error.message,
      );
    });
    expect(codes).toEqual([0, 1, 2].map((rank) => (rank === failing ? 'lost' : 'RANK_FAILED')));
    expect(readdirSync(target)).toEqual(['old']);
    expect(readdirSync(home)).toEqual(['model']);
  });

  test('a disk that fills up under one rank is told on all, and the old folder stays', async () => {
    const target = path.join(home, 'model');
    await writeFolderAside(target, (temporary) => writeFile(path.join(temporary, 'old'), ''));
    const probe = await open(home);
    const prototype = Object.getPrototypeOf(probe);
    await probe.close();
    const { write: original } = prototype;
    let calls = 0;
    // the header is written, and nothing after it
    const spy = jest.spyOn(prototype, 'write').mockImplementation(function (this: unknown, ...given) {
      const full = Object.assign(new RangeError('full'), { code: 'ENOSPC' });
      return calls++ === 0 ? original.apply(this, given) : Promise.reject(full);
    });
    const specs: Spec[] = [{ name: 'alpha', dtype: 'float32', shape: [9] }];
    const fill = (temporary: string, { collectives }: Writers) =>
      write(path.join(temporary, 'model.safetensors'), specs, { collectives, isShared });
    try {
      const errors = await inRanks(2, (collectives) => failureOf(() => writeFolderAside(target, fill, collectives)));
      expect(errors.map(({ code }) => code)).toContain('DISK_FULL');
    } finally {
      spy.mockRestore();
    }
    expect(readdirSync(target)).toEqual(['old']);
    expect(readdirSync(home)).toEqual(['model']);
  });
});

test('ranks that do not see the folder send what they have to the first', async () => {
  const target = path.join(home, 'model');
  const specs: Spec[] = [{ name: 'alpha', dtype: 'bfloat16', shape: [5, 3] }];
  const shared = await inRanks(3, async (collectives) => {
    let isShared = true;
    // the name of a folder is told to all; where another rank looks it is not there
    const elsewhere: Collectives = {
      ...collectives,
      async allGather(own, sizes, of) {
        const all = await collectives.allGather(own, sizes, of);
        if (collectives.rank === 0 || of !== 'the folder for model') return all;
        return new TextEncoder().encode(
          new TextDecoder().decode(all as Uint8Array).replace('model', 'absent'),
        ) as typeof all;
      },
    };
    await writeFolderAside(
      target,
      (temporary, writers) => {
        ({ isShared } = writers);
        return write(path.join(temporary, 'model.safetensors'), specs, writers);
      },
      elsewhere,
    );
    return isShared;
  });
  expect(shared).toEqual([false, false, false]);
  await writeSafetensors(path.join(home, 'one'), specs, () => valuesOf(specs[0] as Spec));
  expect(readFileSync(path.join(target, 'model.safetensors')).equals(readFileSync(path.join(home, 'one')))).toBe(true);
  expect(readdirSync(home).toSorted()).toEqual(['model', 'one']);
});

import { appendFileSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CacheFolder } from '../../../plugins/ref-cache/cache-folder.ts';
import { type CacheRecord, encodeRecord } from '../../../plugins/ref-cache/records.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-records-'));
afterAll(() => rmSync(root, { recursive: true }));
const folder = () => mkdtempSync(path.join(root, 'cache-'));

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const record: fc.Arbitrary<CacheRecord> = fc.record({
  key,
  values: fc.float32Array({ maxLength: 9, noNaN: true }),
});
const records = fc.uniqueArray(record, { selector: (one) => one.key, minLength: 1, maxLength: 5 });
const bytesOf = (all: readonly CacheRecord[]) => Buffer.concat(all.map(encodeRecord));

/** What a folder says of these keys, after everything that is open was closed. */
function recall(directory: string, all: readonly CacheRecord[]): (Float32Array | undefined)[] {
  const cache = new CacheFolder(directory);
  const found = all.map((one) => cache.read(one.key));
  cache.close();
  return found;
}

describe('records of a cache', () => {
  it('come back as they were, for this process and the next', () => {
    fc.assert(
      fc.property(records, fc.nat(), (all, split) => {
        const directory = folder();
        const cache = new CacheFolder(directory);
        const at = split % (all.length + 1);
        cache.append(all.slice(0, at));
        cache.append(all.slice(at));
        expect(all.map((one) => cache.read(one.key))).toEqual(all.map((one) => one.values));
        cache.close();
        expect(recall(directory, all)).toEqual(all.map((one) => one.values));
      }),
      { numRuns: 40 },
    );
  });

  it('cut off at any byte, are whole up to there, and the rest is computed again', () => {
    fc.assert(
      fc.property(records, fc.nat(), (all, where) => {
        const directory = folder();
        const bytes = bytesOf(all);
        const cut = where % bytes.length;
        writeFileSync(path.join(directory, 'a.segment'), bytes.subarray(0, cut));
        const cache = new CacheFolder(directory);
        const whole = all.filter((_, index) => bytesOf(all.slice(0, index + 1)).length <= cut);
        expect(cache.size).toBe(whole.length);
        expect(cache.droppedBytes).toBe(cut - bytesOf(whole).length);
        cache.append(all);
        cache.close();
        expect(recall(directory, all)).toEqual(all.map((one) => one.values));
      }),
      { numRuns: 40 },
    );
  });

  it('with any byte changed, are never read with other values', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.integer({ min: 1, max: 255 }), (all, where, change) => {
        const directory = folder();
        const bytes = bytesOf(all);
        const at = where % bytes.length;
        bytes[at] = (bytes[at] as number) ^ change;
        writeFileSync(path.join(directory, 'a.segment'), bytes);
        recall(directory, all).forEach((found, index) => {
          if (found !== undefined) expect(found).toEqual(all[index]?.values);
        });
      }),
      { numRuns: 80 },
    );
  });

  it('behind random bytes are not believed, and bytes behind them do no harm', () => {
    fc.assert(
      fc.property(records, fc.uint8Array({ maxLength: 200 }), (all, noise) => {
        const directory = folder();
        writeFileSync(path.join(directory, 'noise.segment'), noise);
        writeFileSync(path.join(directory, 'records.segment'), bytesOf(all));
        appendFileSync(path.join(directory, 'records.segment'), noise);
        const cache = new CacheFolder(directory);
        expect(cache.size).toBe(all.length);
        expect(cache.droppedBytes).toBe(2 * noise.length);
        cache.close();
        expect(recall(directory, all)).toEqual(all.map((one) => one.values));
      }),
      { numRuns: 40 },
    );
  });

  it('count once where a segment is there twice', () => {
    fc.assert(
      fc.property(records, (all) => {
        const directory = folder();
        writeFileSync(path.join(directory, 'a.segment'), bytesOf([...all, ...all]));
        copyFileSync(path.join(directory, 'a.segment'), path.join(directory, 'b.segment'));
        const cache = new CacheFolder(directory);
        expect(cache.size).toBe(all.length);
        cache.append(all);
        cache.close();
        expect(recall(directory, all)).toEqual(all.map((one) => one.values));
        expect(readdirSync(directory)).toHaveLength(2);
      }),
      { numRuns: 20 },
    );
  });

  it('that change under a run are not read', () => {
    const directory = folder();
    const one: CacheRecord = { key: '00'.repeat(32), values: Float32Array.of(1, 2) };
    const file = path.join(directory, 'a.segment');
    writeFileSync(file, encodeRecord(one));
    const cache = new CacheFolder(directory);
    writeFileSync(file, readFileSync(file).fill(7, 44));
    expect(cache.has(one.key)).toBe(true);
    expect(cache.read(one.key)).toBeUndefined();
    expect(cache.has(one.key)).toBe(false);
    cache.close();
  });
});

import { createHash } from 'node:crypto';
import { CacheFolder } from '../../../plugins/ref-cache/cache-folder.ts';

/** The record of a number: its values are known by it. */
export function recordOf(number: number) {
  const key = createHash('sha256').update(String(number)).digest('hex');
  return { key, values: Float32Array.from({ length: 1 + (number % 700) }, (_, index) => number + index / 1024) };
}

// appends the records of a range of numbers to a folder, a few at a time, and says so after each
const [directory, first, last] = process.argv.slice(2);
if (directory !== undefined && process.argv[1] === import.meta.filename) {
  const cache = new CacheFolder(directory);
  for (let number = Number(first); number < Number(last); number += 4) {
    cache.append([0, 1, 2, 3].map((more) => recordOf(number + more)));
    process.stdout.write(`${number + 4}\n`);
  }
  cache.close();
}

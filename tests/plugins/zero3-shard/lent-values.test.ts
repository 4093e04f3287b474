import { describe, expect, test } from '@jest/globals';
import { type EngineName, openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { added, concatenated } from '../../../plugins/zero3-shard/gather/lent-values.ts';

const engines: EngineName[] = readInstalled() === undefined ? ['wasm', 'cpu'] : ['native', 'wasm', 'cpu'];

describe.each(engines)('what is lent, on %s', (name) => {
  test('is joined, and added in its order, and may change at once after', async () => {
    await openEngine(name);
    const lent = [lentList([1, 2, 3]), lentList([4, 5, 6]), lentList([2 ** -24, 2 ** -24, 7])];
    const whole = concatenated(lent.slice(0, 2), [3, 2]);
    // 1 + 2^-24 is 1 in float32, where 2^-24 + 2^-24 comes first it is not
    const sum = added([lentList([1, 1, 1]), ...lent.slice(2), lentList([2 ** -24, 0, 0])]);
    for (const list of lent) list.fill(9);
    expect(whole.shape).toEqual([3, 2]);
    expect([...whole.dataSync()]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...sum.dataSync()]).toEqual([1, 1, 8]);
  });
});

/** Where TensorFlow would take it as it lies. */
function lentList(values: readonly number[]): Float32Array {
  const memory = new SharedArrayBuffer(0, { maxByteLength: 4096 });
  memory.grow(4096);
  const list = new Float32Array(memory, 0, values.length);
  list.set(values);
  return list;
}

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readLines } from '../../../plugins/preference-data/lines.ts';
import { scratchFiles } from './support.ts';

const fileOf = scratchFiles();

async function linesOf(file: string, chunkBytes: number) {
  const found: { number: number; start: number; text: string }[] = [];
  const chunks: Buffer[] = [];
  const keep = (chunk: Uint8Array) => chunks.push(Buffer.from(chunk));
  for await (const lines of readLines(file, keep, chunkBytes))
    for (const { number, start, bytes } of lines) found.push({ number, start, text: Buffer.from(bytes).toString() });
  return { found, whole: Buffer.concat(chunks) };
}

describe('lines of a file', () => {
  it('are counted with the empty ones, and the last needs no line feed', async () => {
    const { found } = await linesOf(fileOf('alpha\n\nbravo'), 4);
    expect(found).toEqual([
      { number: 1, start: 0, text: 'alpha' },
      { number: 2, start: 6, text: '' },
      { number: 3, start: 7, text: 'bravo' },
    ]);
  });

  it('come out whole wherever the chunks end', async () => {
    const content = fc
      .array(fc.string({ unit: fc.constantFrom('a', 'é', '\n', '\r', '🙂') }))
      .map((all) => all.join(''));
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 1, max: 9 }), async (text, chunkBytes) => {
        const { found, whole } = await linesOf(fileOf(text), chunkBytes);
        expect(whole.toString()).toBe(text);
        const expected = text.split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(found.map((line) => line.text)).toEqual(expected);
        for (const { start, text: line } of found) expect(whole.subarray(start).toString().startsWith(line)).toBe(true);
      }),
    );
  });
});

import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PreferenceBatch } from 'mooring';
import { truncate } from '../../../plugins/preference-data/collate.ts';
import { readAhead } from '../../../plugins/preference-data/read-ahead.ts';
import { openPreferenceData, type PreferenceDataOptions } from '../../../plugins/preference-data/source.ts';
import { tokenizePair } from '../../../plugins/preference-data/tokenize.ts';
import { loadTokenizer } from '../../../plugins/tokenizer/tokenizer.ts';
import { errorOf, jsonl, keepingLog, keyedRandom, scratchFiles } from './support.ts';

const trl = join(import.meta.dirname, '../../fixtures/trl');
const tokenizer = loadTokenizer(join(trl, 'tokenizer'));
const fileOf = scratchFiles();
const place = { file: 'pairs.jsonl', line: 1 };

interface Ids {
  prompt_ids: number[];
  chosen_ids: number[];
  rejected_ids: number[];
}
const expected: Ids[] = JSON.parse(readFileSync(join(trl, 'tokenized.json'), 'utf8'));

const openWith = (options: Partial<PreferenceDataOptions> = {}) =>
  openPreferenceData({
    file: join(trl, 'pairs.jsonl'),
    tokenizer,
    batchSize: 4,
    maxLength: 96,
    truncationMode: 'keep_start',
    log: keepingLog(),
    ...options,
  });

async function take(source: { open(at: number): AsyncIterableIterator<PreferenceBatch> }, from: number, count: number) {
  const batches: PreferenceBatch[] = [];
  if (count === 0) return batches;
  for await (const batch of source.open(from)) if (batches.push(batch) === count) break;
  return batches;
}

/** Real tokens of each row. */
const idsOf = ({ rows }: PreferenceBatch) =>
  Array.from({ length: rows.batch }, (_, row) =>
    Array.from(rows.ids.subarray(row * rows.time, (row + 1) * rows.time)).filter(
      (_, at) => rows.mask[row * rows.time + at],
    ),
  );

describe('batches of preference pairs', () => {
  it('hold exactly the tokens of TRL', async () => {
    const source = await openWith();
    expect(source).toMatchObject({ pairs: 16, batchesPerEpoch: 4 });
    const batches = await take(source, 0, 4);
    batches.forEach((batch, at) => {
      const pairs = expected.slice(4 * at, 4 * at + 4);
      const sides = [...pairs.map((pair) => pair.chosen_ids), ...pairs.map((pair) => pair.rejected_ids)];
      expect(idsOf(batch)).toEqual(sides.map((side, row) => [...(pairs[row % 4] as Ids).prompt_ids, ...side]));
      expect(Array.from(batch.rows.targets.label)).toEqual(sides.flat());
      expect(batch.counts).toEqual({
        row: 4,
        token: sides.flat().length,
        chosenToken: pairs.flatMap((pair) => pair.chosen_ids).length,
      });
      expect(batch).toMatchObject({ kind: 'preference', pairs: 4, position: at });
      expect(batch.rows.firstRow).toBe(8 * at);
    });
    expect(batches[1]?.origin).toMatch(/pairs\.jsonl lines 5, 6, 7, 8$/);
  });

  it('keep a short last batch, and go on with the next epoch', async () => {
    const batches = await take(await openWith({ batchSize: 5 }), 3, 2);
    expect(batches.map((batch) => [batch.position, batch.pairs, batch.rows.firstRow])).toEqual([
      [3, 1, 30],
      [4, 5, 32],
    ]);
  });

  it('come in an order drawn anew for each epoch, every pair once', async () => {
    const options = { random: keyedRandom, seed: 42 };
    const batches = await take(await openWith(options), 0, 8);
    const epochs = [batches.slice(0, 4), batches.slice(4)].map((epoch) => epoch.flatMap(idsOf).map(String));
    expect(epochs[0]).not.toEqual(epochs[1]);
    const all = (await take(await openWith(), 0, 4)).flatMap(idsOf).map(String).sort();
    for (const epoch of epochs) expect(epoch.toSorted()).toEqual(all);
    expect(await take(await openWith(options), 0, 8)).toEqual(batches);
  });

  it('are the same from any position', async () => {
    const source = await openWith({ batchSize: 3, random: keyedRandom });
    const whole = await take(source, 0, 14);
    await fc.assert(
      fc.asyncProperty(fc.nat(13), async (from) => {
        expect(await take(source, from, 14 - from)).toEqual(whole.slice(from));
      }),
      { numRuns: 14 },
    );
  });

  it('have another fingerprint when data or options differ', async () => {
    const first = (await openWith()).fingerprint;
    expect((await openWith()).fingerprint).toBe(first);
    const others = await Promise.all([
      openWith({ batchSize: 2 }),
      openWith({ maxLength: 95 }),
      openWith({ random: keyedRandom, seed: 1 }),
      openWith({ random: keyedRandom, seed: 2 }),
      openWith({ file: fileOf(readFileSync(join(trl, 'pairs.jsonl'), 'utf8').replace('152', '153')) }),
    ]);
    expect(new Set([first, ...others.map((source) => source.fingerprint)]).size).toBe(6);
  });
});

describe('tokenization', () => {
  it('ends plain completions once', () => {
    const plain = { format: 'plain', prompt: 'What', rejected: ' is' } as const;
    const once = tokenizePair({ ...plain, chosen: ' is 2' }, tokenizer, place);
    expect(once.chosen.at(-1)).toBe(2);
    expect(tokenizePair({ ...plain, chosen: ' is 2</s>' }, tokenizer, place)).toEqual(once);
  });

  it('takes what follows the generation prompt as the completion of a conversation', () => {
    const prompt = [{ role: 'user', content: 'What is 2 + 3?' }];
    const reply = (content: string) => [{ role: 'assistant', content }];
    const pair = { format: 'conversational', prompt, chosen: reply('5'), rejected: reply('6') } as const;
    const tokens = tokenizePair(pair, tokenizer, place);
    expect(tokenizer.decode(tokens.prompt)).toBe('<s>user\nWhat is 2 + 3?</s>\n<s>assistant\n');
    expect(tokenizer.decode(tokens.chosen)).toBe('5</s>\n');
    expect(tokens.mismatch).toBeUndefined();
  });

  it('warns once when a completion changes the tokens of its prompt', async () => {
    // '1' and '2' are one token, '12', as soon as they meet
    const file = fileOf(jsonl(Array(3).fill({ prompt: 'is 1', chosen: '2', rejected: '.' })));
    const log = keepingLog();
    await take(await openWith({ file, log }), 0, 2);
    expect(log.warnings).toEqual([expect.stringContaining('prompt and chosen together')]);
  });

  it('refuses plain pairs without an end token, and completions without tokens', async () => {
    const pair = { format: 'plain', prompt: 'a', chosen: 'b', rejected: 'c' } as const;
    const endless = { ...tokenizer, eosToken: undefined };
    expect(await errorOf(() => tokenizePair(pair, endless, place))).toMatchObject({ code: 'END_TOKEN_MISSING' });
    const silent = { ...tokenizer, encode: () => [] };
    expect(await errorOf(() => tokenizePair(pair, silent, place))).toMatchObject({ code: 'TOKENS_EMPTY' });
  });
});

describe('truncation', () => {
  const cut = (maxLength: number | null, truncationMode: 'keep_start' | 'keep_end') =>
    truncate([1, 2, 3], [4, 5, 6], { maxLength, truncationMode });

  it('keeps the start or the end of each sequence, as TRL does', () => {
    expect(cut(null, 'keep_start')).toEqual({ ids: [1, 2, 3, 4, 5, 6], completionStart: 3 });
    expect(cut(4, 'keep_start')).toEqual({ ids: [1, 2, 3, 4], completionStart: 3 });
    expect(cut(2, 'keep_start')).toEqual({ ids: [1, 2], completionStart: 2 });
    expect(cut(4, 'keep_end')).toEqual({ ids: [3, 4, 5, 6], completionStart: 1 });
    expect(cut(2, 'keep_end')).toEqual({ ids: [5, 6], completionStart: 0 });
  });

  it('drops the pairs whose prompt fills maxLength, and says how many', async () => {
    const long = { prompt: 'What is 1 + 1? '.repeat(9), chosen: 'a', rejected: 'b' };
    const short = { prompt: 'What', chosen: ' is 1', rejected: ' is 2' };
    const file = fileOf(jsonl([long, short, long, short, short]));
    const log = keepingLog();
    const source = await openWith({ file, log, maxLength: 16 });
    expect(source.pairs).toBe(3);
    expect(log.warnings).toEqual([expect.stringContaining('dropped')]);
    const [batch] = await take(source, 0, 1);
    expect(batch?.origin).toMatch(/lines 2, 4, 5$/);
    expect(batch?.rows.time).toBeLessThanOrEqual(16);
    expect((await openWith({ file, maxLength: 16, truncationMode: 'keep_end' })).pairs).toBe(5);
  });

  it('drops exactly the prompts with at least maxLength tokens, whatever their bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.integer({ min: 2, max: 20 }),
        async (prompt, maxLength) => {
          const file = fileOf(
            jsonl([
              { prompt, chosen: 'b', rejected: 'c' },
              { prompt: 'a', chosen: 'b', rejected: 'c' },
            ]),
          );
          const { pairs } = await openWith({ file, maxLength });
          expect(pairs).toBe(tokenizer.encode(prompt).length < maxLength ? 2 : 1);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('a file that will not do', () => {
  const row = { prompt: 'What is 1 + 1?', chosen: 'b', rejected: 'c' };

  it.each<[code: string, make: () => Partial<PreferenceDataOptions>]>([
    ['DATA_FILE_MISSING', () => ({ file: '/nowhere.jsonl' })],
    ['DATA_FILE_UNREADABLE', () => ({ file: trl })],
    ['DATA_FILE_EMPTY', () => ({ file: fileOf('') })],
    ['DATA_FILE_EMPTY', () => ({ file: fileOf('\n \n') })],
    ['ROW_NOT_JSON', () => ({ file: fileOf(`${jsonl([row])}{"prompt"`) })],
    ['PAIRS_ALL_TRUNCATED', () => ({ file: fileOf(jsonl([row, row])), maxLength: 3 })],
    ['PAIRS_ALL_TRUNCATED', () => ({ file: fileOf(jsonl([row])), maxLength: 1, truncationMode: 'keep_end' })],
  ])('is refused with %s', async (code, make) => {
    expect(await errorOf(() => openWith(make()))).toMatchObject({ code });
  });

  it('is refused once it was written to during the run', async () => {
    const file = fileOf(jsonl([row]));
    const source = await openWith({ file });
    appendFileSync(file, jsonl([row]));
    expect(await errorOf(() => take(source, 0, 1))).toMatchObject({ code: 'DATA_FILE_CHANGED' });
  });
});

describe('reading ahead', () => {
  it('has the next values under way, keeps their order, and closes its source', async () => {
    const events: string[] = [];
    async function* source() {
      try {
        for (let at = 0; at < 9; at++) {
          events.push(`make ${at}`);
          yield at;
        }
      } finally {
        events.push('close');
      }
    }
    for await (const value of readAhead(source(), 1)) {
      await new Promise(setImmediate);
      events.push(`use ${value}`);
      if (value === 1) break;
    }
    expect(events).toEqual(['make 0', 'make 1', 'use 0', 'make 2', 'use 1', 'close']);
  });

  it('throws an error when its turn comes, not before', async () => {
    async function* source() {
      yield 1;
      throw new RangeError('out of rows');
    }
    const values = readAhead(source(), 3);
    expect(await values.next()).toEqual({ done: false, value: 1 });
    await expect(values.next()).rejects.toThrow('out of rows');
  });
});

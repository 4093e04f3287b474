import { mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { format, parseState, type State, stateFile, writeStateFile } from '../../../core/checkpoint/state-file.ts';

test('figures come back to the last bit, whatever they are', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-state-'));
  const figures = fc.dictionary(fc.stringMatching(/^[a-z/]+$/), fc.double({ noDefaultInfinity: false, noNaN: false }));
  await fc.assert(
    fc.asyncProperty(figures, async (record) => {
      const state: State = {
        format,
        step: 3,
        record,
        evaluation: undefined,
        identity: { model: 'toy' },
        mode: {},
        frozen: 'none',
        reference: undefined,
        optimizer: { steps: {} },
        parts: { 'a/b': { version: 1, json: [1] } },
      };
      await writeStateFile(folder, state);
      const read = parseState(await readFile(path.join(folder, stateFile), 'utf8'), folder);
      expect({ ...read, record: undefined }).toEqual({ ...state, record: undefined });
      const entries = Object.entries(read.record ?? {});
      expect(entries.length).toBe(Object.keys(record).length);
      expect(entries.filter(([name, value]) => !Object.is(value, record[name]))).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

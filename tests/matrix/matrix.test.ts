import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Cell, cells, pairwise, plainOf, refusalOf } from './cells.ts';
import { type Folders, makeFolders, runCell, type Seen } from './run-cell.ts';
import { nameOf, tablesOf } from './tables.ts';

// all of them in `npm run test:matrix`, which prints the table
const isWhole = process.env.MATRIX === 'all';
const isWorking = (cell: Cell) => refusalOf(cell) === undefined;
const working = isWhole ? cells.filter(isWorking) : pairwise(cells.filter(isWorking));
const refused = cells.filter((cell) => !isWorking(cell) && (isWhole || cell.resume === 'no'));
const named = (some: readonly Cell[]) => some.map((cell) => [nameOf(cell), cell] as const);

const home = mkdtempSync(path.join(tmpdir(), 'mooring-matrix-'));
let folders: Folders;
beforeAll(async () => {
  folders = await makeFolders(home);
});
const results = new Map<string, string>();
afterAll(() => {
  rmSync(home, { recursive: true });
  if (isWhole) process.stdout.write(`\n${tablesOf((cell) => results.get(nameOf(cell)) ?? 'failed')}\n`);
});

test.each(named(working))('%s: the losses of the plain run, and no tensor left', async (name, cell) => {
  const expected = await plainRun(cell);
  const [first = [], ...others] = await runCell(cell, folders);
  const far = first.map(
    ({ loss }, at) => Math.abs(loss - (expected[at]?.loss ?? Number.NaN)) / Math.max(1, Math.abs(loss)),
  );
  expect(far).toHaveLength(6);
  expect(Math.max(...far)).toBeLessThanOrEqual(1e-5);
  for (const other of others) expect(first).toEqual(expect.arrayContaining(other));
  // the reference moves after every second step
  expect(first[5]?.tensors).toBe(first[3]?.tensors);
  results.set(name, Math.max(...far) === 0 ? 'equal' : `within ${Math.max(...far).toExponential(0)}`);
});

test.each(named(refused))('%s: refused with a sentence, before anything is trained', async (name, cell) => {
  const seen: Seen[][] = [];
  const code = refusalOf(cell);
  await expect(runCell(cell, folders, seen)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(/\w+ \w+.*\./),
  });
  expect(seen.flat()).toEqual([]);
  results.set(name, `refused: \`${code}\``);
});

const plain = new Map<string, Promise<readonly Seen[]>>();

/** Once for all cells that have to equal it. */
function plainRun(cell: Cell): Promise<readonly Seen[]> {
  const name = nameOf(plainOf(cell));
  const known = plain.get(name) ?? runCell(plainOf(cell), folders).then(([only = []]) => only);
  plain.set(name, known);
  return known;
}

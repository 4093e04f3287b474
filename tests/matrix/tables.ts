import { type Cell, cells, rankCounts, refusalOf, resumes, runsOf } from './cells.ts';

const columns = rankCounts.flatMap((ranks) => resumes.map((resume) => ({ ranks, resume })));
type Row = Pick<Cell, 'policy' | 'reference' | 'sync'>;

/** The cells' results as two tables in markdown: of what works, a row for each policy, reference and sync, and of what is refused. */
export function tablesOf(resultOf: (cell: Cell) => string): string {
  const rows = cells.filter(({ ranks, resume }) => ranks === 1 && resume === 'no');
  const resultsOf = (row: Row) => columns.map((column) => resultOf({ ...row, ...column }));
  const isRefused = (row: Cell) => columns.every((column) => refusalOf({ ...row, ...column }) !== undefined);
  const cellsOf = ({ policy, reference, sync }: Row) => [policy, reference, sync];
  const works = rows.filter((row) => !isRefused(row)).map((row) => [...cellsOf(row), ...resultsOf(row)]);
  const refused = rows.filter(isRefused).map((row) => [...cellsOf(row), [...new Set(resultsOf(row))].join('; ')]);
  const heads = ['policy', 'reference', 'sync'];
  const working = tableOf([...heads, ...columns.map(columnName)], works);
  return `${working}\n${tableOf([...heads, 'whatever the ranks, resumed or not'], refused)}`;
}

/** A cell in words. */
export function nameOf({ policy, reference, sync, ...column }: Cell): string {
  return `${policy}, ${reference}, sync ${sync}, ${columnName(column)}`;
}

function columnName(column: Pick<Cell, 'ranks' | 'resume'>): string {
  const [first, second] = runsOf(column);
  const counted = (ranks: number | undefined) => `${ranks} ${ranks === 1 ? 'rank' : 'ranks'}`;
  return second === undefined ? counted(first) : `${first} then ${counted(second)}`;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return `${[head, head.map(() => '---'), ...rows].map(line).join('\n')}\n`;
}

import { type Cell, policies, references, resumes, syncs } from './cells.ts';

/** The cells' results as a table in markdown: a row for each policy and reference. */
export function tableOf(resultOf: (cell: Cell) => string): string {
  const columns = syncs.flatMap((sync) => resumes.map((resume) => ({ sync, resume })));
  const head = columns.map(({ sync, resume }) => `sync ${sync}${resume === 'yes' ? ', resumed' : ''}`);
  const rows = policies.flatMap((policy) =>
    references.map((reference) => [
      policy,
      reference,
      ...columns.map((column) => resultOf({ policy, reference, ...column })),
    ]),
  );
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const all = [['policy', 'reference', ...head], ['---', '---', ...head.map(() => '---')], ...rows];
  return `${all.map(line).join('\n')}\n`;
}

import type { Advice, Assessment } from './advice.ts';
import { formatBytes } from './byte-count.ts';

const columns = [
  'weights',
  'gradients',
  'optimizer',
  'reference',
  'activations',
  'live',
  'tensors',
  'resident',
] as const;

/** The rows of the table, its head first; a row for each mechanism. */
export function tableOf({ assessments, choice }: Advice): string[][] {
  return [
    ['mechanism', 'ranks', ...columns, 'time', 'fits'],
    ...assessments.map((one) => [
      one.mechanism.name,
      String(one.ranks),
      ...columns.map((column) => formatBytes(one.bytes[column])),
      one.time.toFixed(2),
      one.mechanism.name === choice.name ? 'chosen' : one.obstacles.length === 0 ? 'yes' : 'no',
    ]),
  ];
}

/** Advice for a person. */
export function renderAdvice(advice: Advice): string {
  const { question, assessments, choice } = advice;
  const { workload, shapes, memory, ranks, running } = question;
  const { pairs, promptTokens, completionTokens } = workload;
  const mode = running.isCompiled ? 'compiled' : 'eager';
  const chosen = assessments.find(({ mechanism }) => mechanism.name === choice.name);
  const lines = [
    `${shapes.description}, ${formatBytes(memory)} for each of ${ranks} ${ranks === 1 ? 'rank' : 'ranks'}`,
    `${pairs} pairs of ${promptTokens} + ${completionTokens} tokens in a micro-step, ${mode}${running.recompute === 'block' ? ', recomputed by block' : ''}; bytes are those of one rank`,
    '',
    aligned(tableOf(advice)),
    '',
    ...refusals(assessments),
    `Choice: ${choice.name ?? 'none'}. ${choice.reason}`,
    ...(chosen === undefined ? [] : [pluginsOf(chosen)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Advice for programs. */
export function adviceAsJson({ question, assessments, choice }: Advice): string {
  const { shapes, memory, ranks, workload, running, adapterRank } = question;
  const told = {
    model: { description: shapes.description, parameters: shapes.parameters, vocabularySize: shapes.vocabularySize },
    memory,
    ranks,
    workload,
    running,
    adapterRank,
    mechanisms: assessments.map(({ mechanism, bytes, ...rest }) => ({ ...mechanism, ...rest, bytes: rounded(bytes) })),
    choice: { ...choice, name: choice.name ?? null, leastRanks: choice.leastRanks ?? null },
  };
  return `${JSON.stringify(told, null, 2)}\n`;
}

/** What does not fit and why, and what the others would refuse. */
function refusals(assessments: readonly Assessment[]): string[] {
  const lines = assessments.flatMap(({ mechanism, obstacles }): [string, string][] => {
    if (obstacles.length > 0) return [[mechanism.name, obstacles.join(' ')]];
    return mechanism.refuses === 'Nothing.' ? [] : [[mechanism.name, `refuses: ${mechanism.refuses}`]];
  });
  return lines.length === 0 ? [] : [aligned(lines, false), ''];
}

/** What a run file says for it, and what of it this release lacks. */
function pluginsOf({ mechanism, missing }: Assessment): string {
  const entries = Object.entries(mechanism.plugins).map(([name, options]) => {
    const pairs = Object.entries(options).map(([option, value]) => `${option}: ${value}`);
    return `  - ${name}${pairs.length === 0 ? '' : `: { ${pairs.join(', ')} }`}`;
  });
  const lacking = missing.length === 0 ? '' : ` # not in this release yet: ${missing.join(', ')}`;
  return [`plugins:${lacking}`, ...entries].join('\n');
}

function rounded<Parts extends object>(bytes: Parts) {
  return Object.fromEntries(Object.entries(bytes).map(([name, value]) => [name, Math.round(value as number)]));
}

/** Columns, the first to the left and the others to the right. */
function aligned(rows: readonly (readonly string[])[], isRight = true): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] as string).length)));
  const cell = (text: string, at: number) =>
    at > 0 && isRight ? text.padStart(widths[at] as number) : text.padEnd(widths[at] as number);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}

import { readdirSync } from 'node:fs';
import { type ErrorTable, type HookName, hookNames, hookTable } from 'mooring';

/** docs/hooks.md: the hook table. */
export function renderHooks(): string {
  const rows = hookNames.map((name) => {
    const { kind, when, args, returns } = hookTable[name];
    return `| \`${name}\` | ${kind} | ${args.map((each) => `\`${each}\``).join(', ')} | ${when} | ${returns ?? 'nothing'} |`;
  });
  const kinds = Object.entries(kindsInWords).map(([kind, words]) => `- **${kind}**: ${words}`);
  return page('Hooks', [
    'Generated from `core/lifecycle.ts` by `npm run docs`. In lifecycle order; `mooring explain run.yaml` shows who taps what.',
    'A plugin taps with `hooks.<name>.tap(fn, { before, after })`. Waterfalls get the value first, then one object with the arguments; all others get the object. Only `undefined` means unchanged.',
    ['| hook | kind | arguments | when | a returned value |', '| --- | --- | --- | --- | --- |', ...rows].join('\n'),
    '## Kinds',
    kinds.join('\n'),
    'Hooks whose kind begins with `sync` run inside code that tfjs records and differentiates: an async function is refused when it is tapped, by the compiler and at run time.',
  ]);
}

/** docs/lifecycle.md: the order of a run as a tree, what the core does and when hooks are called. */
export function renderLifecycle(): string {
  const line = (depth: number, name: string, words: string) =>
    `${'│ '.repeat(depth)}├ ${name.padEnd(24 - 2 * depth)}${words}`;
  const lines = hookNames.flatMap((name) => {
    const { depth, first } = places[name];
    const own = (first ?? []).map((words) => `${'│ '.repeat(depth)}├ (${words})`);
    return [...own, line(depth, name, hookTable[name].when)];
  });
  return page('The life of a run', [
    'Generated from `core/lifecycle.ts` by `npm run docs`. What the core itself does stands in parentheses; what is indented repeats: each epoch, each step, each micro-batch, each block.',
    ['```text', 'trainer.train()', ...lines, '└ (services are disposed, last made first)', '```'].join('\n'),
    'A stop (`requestStop`, and Ctrl-C on the command line) ends a run after the step in progress: `trainEnd` and `export` still run.',
    '## What an error does',
    [
      '| where it comes up | what follows | `failure` | `teardown` |',
      '| --- | --- | --- | --- |',
      ...errorsWhere.map((row) => `| ${row.join(' | ')} |`),
    ].join('\n'),
    'An error in a tap carries the plugin, the hook and the step in its `place`, and what the plugin threw in its `cause`. [errors.md](errors.md) lists the codes.',
  ]);
}

/** docs/errors.md: every code with its texts. `tables` by the file that each stands in. */
export function renderErrors(tables: Readonly<Record<string, ErrorTable>>): string {
  const sections = Object.entries(tables).map(([file, table]) => {
    const rows = Object.entries(table)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(
        ([code, { fact, consequence, remedy }]) =>
          `| \`${code}\` | ${cell(fact)} | ${cell(consequence)} | ${cell(remedy)} |`,
      );
    const head = ['| code | fact | consequence | remedy |', '| --- | --- | --- | --- |'];
    return [`## ${file}`, '', ...head, ...rows].join('\n');
  });
  return page('Errors', [
    'Generated from the error tables by `npm run docs`. Every error has a code, a fact, its consequence and the remedy; `{...}` is filled in with the file, line, key or plugin.',
    ...sections,
  ]);
}

/** The TypeScript of the README as one module, for the compiler to check. */
export function renderReadmeCode(readme: string): string {
  const blocks = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
  return [
    '// The TypeScript of README.md, put here by `npm run docs` so that the compiler checks it.\n',
    ...blocks,
  ].join('\n');
}

/** The error tables of the project, by file: every `errors.ts` and `failure.ts`. */
export async function readErrorTables(): Promise<Record<string, ErrorTable>> {
  const tables: Record<string, ErrorTable> = {};
  for (const folder of ['core', 'plugins']) {
    const root = new URL(`../${folder}/`, import.meta.url);
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /(^|\/)(errors|failure)\.ts$/.test(name),
    );
    for (const name of files.sort()) {
      const { failure } = (await import(new URL(name, root).href)) as { failure?: { table: ErrorTable } };
      if (failure !== undefined) tables[`${folder}/${name}`] = failure.table;
    }
  }
  return tables;
}

const kindsInWords = {
  series: 'the taps run one after another; what they return is ignored.',
  waterfall: 'a value passes through the taps; each may return another one.',
  bail: 'the first tap that answers ends it.',
  collect: 'every tap returns named parts; a name that two give is an error.',
  paired:
    'the `after` taps run in reverse order, whatever fails, for every plugin whose `before` tap began or that has none.',
  settled: 'every tap runs, in reverse order, whatever fails; what failed is thrown together.',
};

/** Where an error comes up, what follows, and whether `failure` and `teardown` run. */
const errorsWhere = [
  ['`use`, `apply`, `configure`', 'nothing was made: the error is thrown', 'no', 'no'],
  ['making the services', 'those that were made are disposed, and the error is thrown', 'no', 'no'],
  ['`setup` to `trainBegin`', 'nothing was trained, nothing is written', 'yes', 'yes'],
  ['a `batch` tap', 'thrown by the step that needs the batch; the steps before it are done', 'yes', 'yes'],
  ['inside a step', '`after` taps run for what began; the weights are not exported', 'yes', 'yes'],
  [
    'a loss or gradient that is not finite',
    'the optimizer does not move; the weights are exported into `last-good`, and the error says where',
    'yes',
    'yes',
  ],
  ['`evaluate` to `trainEnd`', 'the step was taken; the weights are not exported', 'yes', 'yes'],
  ['`export`', 'the staging directory is removed; what stood in the output stays', 'yes', 'yes'],
  ['`failure`', 'it is logged; the first error is thrown', 'all its taps', 'yes'],
  ['`teardown`', 'it is thrown, or logged where another error came first', 'no', 'all its taps'],
  ['disposing a service', 'it is thrown, or logged where another error came first', 'no', 'before'],
];

/** How deep a hook stands in the repetitions of a run, and what the core does before it. A hook that is missing does not compile. */
const places: Readonly<Record<HookName, { depth: number; first?: readonly string[] }>> = {
  configure: { depth: 0, first: ['plugins are checked and applied, taps ordered; from here on the run is frozen'] },
  setup: { depth: 0, first: ['the services that somebody uses are made, each once, what they need before them'] },
  modelDefined: { depth: 0, first: ['parameters are defined'] },
  modelReady: { depth: 0, first: ['weights are read, one tensor at a time'] },
  refInit: { depth: 0 },
  checkpointLoad: {
    depth: 0,
    first: ['if the run resumes: trained values, optimizer and reference are as they were saved'],
  },
  trainBegin: { depth: 0 },
  epochBegin: { depth: 1, first: ['before step 1: policy and reference score the same rows, and their KL is checked'] },
  batch: { depth: 2 },
  stepBegin: { depth: 2 },
  settings: { depth: 2 },
  pass: { depth: 3 },
  beforeForward: { depth: 4 },
  readParameter: { depth: 4 },
  projection: { depth: 4 },
  afterForward: { depth: 4 },
  lossTerms: { depth: 3 },
  beforeBackward: { depth: 4, first: ['the blocks are differentiated, from the head down'] },
  gradient: { depth: 4 },
  afterBackward: { depth: 4 },
  metrics: { depth: 3 },
  gradientsReady: { depth: 2 },
  stepEnd: { depth: 2, first: ['gradients are clipped by their global norm, and the optimizer moves the weights'] },
  evaluate: { depth: 2 },
  evaluated: { depth: 2 },
  epochEnd: { depth: 1 },
  betweenSteps: { depth: 1 },
  checkpointSave: { depth: 2 },
  trainEnd: { depth: 0 },
  export: { depth: 0 },
  failure: { depth: 0, first: ['where an error came up'] },
  teardown: { depth: 0 },
};

function page(title: string, parts: readonly string[]): string {
  return `${[`# ${title}`, ...parts].join('\n\n')}\n`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

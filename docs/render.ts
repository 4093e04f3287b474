import { readdirSync } from 'node:fs';
import { type ErrorTable, type HookName, hookNames, hookTable } from 'mooring';

/** docs/hooks.md: the hook table. */
export function renderHooks(): string {
  const rows = hookNames.map((name) => {
    const { kind, when, args, returns } = hookTable[name];
    return `| \`${name}\` | ${kind} | ${args.map((each) => `\`${each}\``).join(', ')} | ${when} | ${returns} |`;
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

/** docs/lifecycle.md: the order of a run, indented as it repeats. */
export function renderLifecycle(): string {
  const line = (name: HookName) =>
    `${'  '.repeat(depths[name])}${name.padEnd(24 - 2 * depths[name])}${hookTable[name].when}`;
  return page('The life of a run', [
    'Generated from `core/lifecycle.ts` by `npm run docs`. What is indented repeats: each epoch, each step, each micro-batch, each block.',
    ['```text', ...hookNames.map(line), '```'].join('\n'),
    'An error anywhere goes, with the plugin, the hook and the step that it came from, to `failure`, which can see it but not swallow it; then `teardown` runs, and the error is thrown. A loss or gradient that is not finite ends the run before the optimizer moves: the weights of the step before are saved.',
    '`requestStop`, and Ctrl-C on the command line, end a run after the step in progress: `trainEnd` and `export` still run.',
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

/** How deep a hook stands in the repetitions of a run: a hook that is missing here does not compile. */
const depths: Readonly<Record<HookName, number>> = {
  configure: 0,
  setup: 0,
  modelDefined: 0,
  modelReady: 0,
  refInit: 0,
  trainBegin: 0,
  epochBegin: 1,
  batch: 2,
  stepBegin: 2,
  settings: 2,
  pass: 3,
  beforeForward: 4,
  readParameter: 4,
  projection: 4,
  afterForward: 4,
  lossTerms: 3,
  beforeBackward: 4,
  gradient: 4,
  afterBackward: 4,
  metrics: 3,
  gradientsReady: 2,
  stepEnd: 2,
  evaluate: 2,
  evaluated: 2,
  epochEnd: 1,
  trainEnd: 0,
  export: 0,
  failure: 0,
  teardown: 0,
};

function page(title: string, parts: readonly string[]): string {
  return `${[`# ${title}`, ...parts].join('\n\n')}\n`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

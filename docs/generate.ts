import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { makeManifest } from '../plugins/make-manifest.ts';
import { renderAdvicePage } from './advise-page.ts';
import { readErrorTables, renderErrors, renderHooks, renderLifecycle, renderReadmeCode } from './render.ts';

/** What is generated from the code, by file. */
export async function generated(): Promise<Record<string, string>> {
  return {
    'docs/advise.md': await renderAdvicePage(),
    'docs/hooks.md': renderHooks(),
    'docs/lifecycle.md': renderLifecycle(),
    'docs/errors.md': renderErrors(await readErrorTables()),
    'plugins/manifest.json': await makeManifest(),
    'tests/types/readme.ts': renderReadmeCode(readFileSync(new URL('../README.md', import.meta.url), 'utf8')),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of Object.entries(await generated()))
    writeFileSync(new URL(`../${file}`, import.meta.url), text);
}

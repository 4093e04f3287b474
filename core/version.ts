import { readFileSync } from 'node:fs';

/** The version of this package, from its manifest, whether it runs from source or compiled. */
export function readVersion(): string {
  const isSource = import.meta.url.endsWith('.ts');
  const file = new URL(isSource ? '../package.json' : '../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

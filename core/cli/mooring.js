#!/usr/bin/env node
import { existsSync } from 'node:fs';
import './register.js';

// the repository runs from source; the npm package has compiled files instead
const source = new URL('./main.ts', import.meta.url);
const main = existsSync(source) ? source : new URL('../../dist/core/cli/main.js', import.meta.url);
const { runCommandLine } = await import(main.href);
process.exitCode = await runCommandLine(process.argv.slice(2));

import { pathToFileURL } from 'node:url';
import type { Program } from '../../../../plugins/zero3-shard/threads/start-ranks.ts';

/** A program of this folder for ranks that are started from a test, which itself runs otherwise. */
export function ranksProgram(file: string, ...argv: string[]): Program {
  const register = pathToFileURL(`${import.meta.dirname}/../../../../core/cli/register.js`).href;
  return {
    entry: pathToFileURL(`${import.meta.dirname}/${file}`),
    options: { argv, execArgv: ['--import', register] },
  };
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonObject } from './config.ts';
import type { Decoder } from './decoder.ts';

/** The tokens that end a sequence: generation_config.json's `eos_token_id` if there is one, else config.json's; one id or a list. */
export function endIdsOf({ folder, config }: Decoder): number[] {
  const file = join(folder, 'generation_config.json');
  const generation = existsSync(file) ? readJsonObject(file) : {};
  const ids = [generation.eos_token_id ?? config.raw.eos_token_id].flat();
  return ids.filter((id) => typeof id === 'number');
}

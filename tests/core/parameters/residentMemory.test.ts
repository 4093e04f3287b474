import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const script = fileURLToPath(new URL('residentMemoryInChild.js', import.meta.url));

test('a snapshot on native takes no memory until parameters are trained, then theirs alone', () => {
  const output = execFileSync(process.execPath, [script], { encoding: 'utf8' });
  const { bySnapshot, byTraining, counted } = JSON.parse(output);
  // for what V8 takes meanwhile; measured: less than 1
  const noise = 16;
  expect(bySnapshot).toBeLessThan(noise);
  // 6 of 8 parameters of 32 MiB; the step before left three buffers to reuse, as the engine keeps what was freed
  expect(counted).toBe(6 * 32);
  expect(byTraining).toBeLessThan(6 * 32 + noise);
  expect(byTraining).toBeGreaterThan((6 - 3) * 32);
}, 60_000);

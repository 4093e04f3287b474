import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openSafetensors } from 'mooring';
import { runCommandLine } from '../../../core/cli/main.ts';

/**
 * Scores with the adapters that `save_adapters.py` saved, beside their base and merged into it, and prints how far the
 * logits are from PEFT's; ends with 1 where that is more than the fixtures' tolerance.
 *
 *     node --import ./core/cli/register.js tests/bench/peers/load-adapters.ts FOLDER
 */
const [, , folder = '.'] = process.argv;
const bases: Record<string, string> = JSON.parse(readFileSync(path.join(folder, 'bases.json'), 'utf8'));
const terminal = { out: () => {}, err: (text: string) => void process.stderr.write(text) };
for (const [name, base] of Object.entries(bases)) {
  const model = path.resolve(import.meta.dirname, '../../fixtures/models', base);
  const adapter = path.join(folder, name);
  const merged = path.join(adapter, 'merged');
  await runCommandLine(['adapter', 'merge', '--model', model, '--adapter', adapter, '--output', merged], terminal);
  const theirs = await readLogits(path.join(adapter, 'expected.safetensors'));
  const tokens = path.join(model, 'expected.safetensors');
  const distances = [];
  for (const args of [
    ['--model', model, '--adapter', adapter],
    ['--model', merged],
  ]) {
    const output = path.join(adapter, 'scores.safetensors');
    await runCommandLine(['score', ...args, '--tokens', tokens, '--logits', '--output', output], terminal);
    const ours = await readLogits(output);
    distances.push(ours.reduce((most, value, at) => Math.max(most, Math.abs(value - (theirs[at] as number))), 0));
  }
  const [beside, within] = distances.map((each) => each.toExponential(1));
  process.stdout.write(`${name.padEnd(24)} beside its base ${beside}   merged into it ${within}\n`);
  if (!distances.every((each) => each < 2e-4)) process.exitCode = 1;
}

async function readLogits(file: string): Promise<Float32Array> {
  const source = await openSafetensors(file);
  try {
    return (await source.readTensor('logits')) as Float32Array;
  } finally {
    await source.close();
  }
}

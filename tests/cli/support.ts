import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCommandLine } from '../../core/cli/main.ts';

const root = path.resolve(import.meta.dirname, '../..');
const fixtures = path.join(root, 'tests/fixtures');

/** What a command printed, and its exit code. */
export interface Printed {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder with a tiny model, its tokenizer and 16 pairs, and a way to run the real command in it. */
export function workplace() {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-cli-'));
  cpSync(path.join(fixtures, 'models/qwen2'), path.join(folder, 'model'), { recursive: true });
  cpSync(path.join(fixtures, 'trl/tokenizer'), path.join(folder, 'model'), { recursive: true });
  cpSync(path.join(fixtures, 'trl/pairs.jsonl'), path.join(folder, 'pairs.jsonl'));
  const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
  write('run.yaml', runFile);
  const mooring = (args: readonly string[], watch?: (err: string, signal: (name: NodeJS.Signals) => void) => void) =>
    new Promise<Printed>((resolve) => {
      const child = spawn(process.execPath, [path.join(root, 'core/cli/mooring.js'), ...args], { cwd: folder });
      const printed = { out: '', err: '' };
      child.stdout.on('data', (data) => {
        printed.out += data;
      });
      child.stderr.on('data', (data) => {
        printed.err += data;
        watch?.(printed.err, (name) => child.kill(name));
      });
      child.on('close', (code) => resolve({ code, ...printed }));
    });
  return { folder, mooring, write };
}

/** The command line in this process, which need not load everything anew for each command. */
export async function runHere(...args: readonly string[]): Promise<Printed> {
  const printed = { out: '', err: '' };
  const code = await runCommandLine(args, {
    out: (text) => {
      printed.out += text;
    },
    err: (text) => {
      printed.err += text;
    },
  });
  return { code, ...printed };
}

/** Three steps of DPO; lines count from 1 at `model`. */
export const runFile = `model: model
data: pairs.jsonl
output: out
train:
  steps: 3
  batchSize: 4
  learningRate: 1e-3
  schedule: constant
  shuffle: false
plugins:
  - dpo: { beta: 0.1 }
  - ref-clone
`;

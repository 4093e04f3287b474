import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTrainer, definePlugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { modelFolder } from './models.ts';

// how long steps wait for their batches, of conversations that are read and tokenized while they train: node ... input.ts 20
const [steps = '20'] = process.argv.slice(2);
const folder = mkdtempSync(path.join(tmpdir(), 'mooring-input-'));
const data = path.join(folder, 'pairs.jsonl');
const tokenizerFolder = fileURLToPath(new URL('../fixtures/trl/tokenizer', import.meta.url));
for (const from of [modelFolder('tiny'), tokenizerFolder]) cpSync(from, folder, { recursive: true });
writeFileSync(data, Array.from({ length: 3000 }, (_, index) => JSON.stringify(pair(index))).join('\n'));

// about 60 tokens of prompt and 60 of each completion
function pair(index: number) {
  const says = (role: string, salt: number) => {
    const words = Array.from({ length: 8 }, (_, at) => (index * 31 + at * 17 + salt).toString(36));
    return [{ role, content: `What is ${words.join(' and ')}?` }];
  };
  return { prompt: says('user', 0), chosen: says('assistant', 1), rejected: says('assistant', 2) };
}

const seen: { at: number; waited: number }[] = [];
const watch = definePlugin({
  name: 'watch',
  apiVersion: 1,
  apply({ hooks }) {
    let waited = () => 0;
    hooks.trainBegin.tap(({ run }) => {
      waited = () => run.millisecondsAwaitingData;
    });
    hooks.stepBegin.tap(() => void seen.push({ at: performance.now(), waited: waited() }));
  },
});

const train = { steps: Number(steps), learningRate: 1e-4, schedule: 'constant', batchSize: 4 } as const;
await createTrainer({ model: folder, data, train })
  .use(causalLm(), tokenizer(), preferenceData(), dpo({ beta: 0.1 }), refClone(), watch())
  .train();
rmSync(folder, { recursive: true });

// the first step waits for the file to be opened
const [first, last] = [seen[1], seen.at(-1)];
if (first !== undefined && last !== undefined) {
  const count = seen.length - 2;
  const waited_ms = (last.waited - first.waited) / count;
  const step_ms = (last.at - first.at) / count;
  console.log(
    JSON.stringify({ steps: count, waited_ms, step_ms, share: waited_ms / step_ms, first_ms: seen[0]?.waited }),
  );
}

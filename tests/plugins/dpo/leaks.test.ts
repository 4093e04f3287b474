import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { createTrainer, definePlugin, Engine, type LedgerEntry } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const model = mkdtempSync(path.join(tmpdir(), 'mooring-leaks-'));
cpSync(path.join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(path.join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

test('after 200 steps of DPO with a cloned reference there is not one tensor, nor a byte, more than after 2', async () => {
  const seen: { tensors: number; buffers: number; bytes: number }[] = [];
  let ledger: readonly LedgerEntry[] = [];
  const counter = definePlugin({
    name: 'counter',
    apiVersion: 1,
    uses: { engine: Engine },
    apply({ hooks, services }) {
      hooks.stepEnd.tap(() => void seen.push(services.engine.memory()));
      hooks.trainEnd.tap(({ run }) => {
        ledger = run.ledger();
      });
    },
  });
  const train = { steps: 200, batchSize: 1, learningRate: 1e-3, schedule: 'constant', engine: 'native' } as const;
  const data = path.join(fixtures, 'trl/pairs.jsonl');
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const run = createTrainer({ model, data, train }, { log });
  await run.use(causalLm(), tokenizer(), preferenceData(), dpo(), refClone(), counter()).train();
  expect(seen).toHaveLength(200);
  expect(seen[199]).toEqual(seen[1]);
  expect(ledger.filter(({ hook, tensors }) => hook === 'stepEnd' && tensors !== 0)).toEqual([]);
});

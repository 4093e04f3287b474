import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { type Block, createTrainer, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { ShardingStatistics, zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { comparing, plugin, quiet } from '../../core/support.ts';
import { withTokenizer, workspace } from '../peft-lora/support.ts';
import { recorded } from './support.ts';

afterAll(() => rmSync(workspace, { recursive: true }));

/** What a rank of the toy gathers in each pass of the second step, when a clone has values of its own; a backward pass follows the last. */
async function gatheredInPasses(maxLiveParameters: number): Promise<Record<string, string[]>> {
  const [first] = await inRanks(2, async (collectives) => {
    const calls: string[] = [];
    const passes: Record<string, string[]> = {};
    const mark = plugin('mark', ({ hooks }) => {
      let key = '';
      const end = () => {
        const names = calls.splice(0).filter((of) => of.startsWith('the parameter '));
        if (key !== '') passes[key] = names.map((of) => of.slice('the parameter '.length));
      };
      const begin = (next: string) => {
        end();
        key = next;
      };
      hooks.stepBegin.tap(() => begin(''));
      hooks.pass.tap(({ pass }) => {
        begin(pass.key);
        return undefined;
      });
      // the head is the first block of a backward pass
      const backward = ({ block }: { readonly block: Block }) => {
        if (block.name === 'head') begin('backward');
      };
      hooks.beforeBackward.tap(backward, { before: ['zero3-shard'] });
      hooks.gradientsReady.tap(end);
    });
    const shard = zero3Shard({ persistenceThreshold: 8, maxLiveParameters });
    const ranks = givenRanks(recorded(collectives, calls), 'zero3-shard');
    await toyRun([comparing, refClone(), mark, shard, ranks], { steps: 2 }).trainer.train();
    return passes;
  });
  return first as Record<string, string[]>;
}

it('the passes of policy and reference gather each what it reads, in its own order', async () => {
  const [up, down] = [
    ['embedding.weight', 'head.weight'],
    ['head.weight', 'embedding.weight'],
  ];
  expect(await gatheredInPasses(0)).toEqual({ policy: up, reference: up, backward: down });
});

it('what may stay serves the backward pass too, and a clone, whose values are those of the first step, from then on', async () => {
  const policy = ['embedding.weight', 'head.weight'];
  expect(await gatheredInPasses(1000)).toEqual({ policy, reference: [], backward: [] });
});

/** Of two steps of DPO with LoRA and its base for the reference: parameters that a rank gathered, and that are split. */
async function gatheredWithAdapters(maxLiveParameters: number) {
  const data = path.resolve(import.meta.dirname, '../../fixtures/trl/pairs.jsonl');
  const model = withTokenizer('qwen2');
  const [first] = await inRanks(2, async (collectives) => {
    const seen = { gathered: 0, base: 0, adapters: 0 };
    const uses = { store: ParameterStore, statistics: ShardingStatistics };
    const look = plugin(
      'look',
      ({ hooks, services }) => {
        hooks.trainEnd.tap(() => {
          const { store, statistics } = services;
          seen.gathered = Object.values(statistics.gathered).reduce((sum, count) => sum + count, 0);
          for (const name of store.names) {
            const elements = store.spec(name).shape.reduce((product, size) => product * size, 1);
            const { begin, end } = store.range(name);
            if (end - begin < elements) seen[name.startsWith('default/') ? 'adapters' : 'base']++;
          }
        });
      },
      uses,
    );
    const train = { steps: 2, batchSize: 2, compile: 'off' } as const;
    const shard = zero3Shard({ persistenceThreshold: 64, maxLiveParameters });
    await createTrainer({ model, data, train }, { log: quiet })
      .use(causalLm(), tokenizer(), preferenceData(), dpo(), peftLora({ reference: 'adapters-off' }), look)
      .use(shard, givenRanks(collectives, 'zero3-shard'))
      .train();
    return seen;
  });
  return first as { gathered: number; base: number; adapters: number };
}

it('with adapters one gather of the base serves both passes, and all steps, where it may stay', async () => {
  const { gathered, base, adapters } = await gatheredWithAdapters(1e6);
  // what is trained is another after the first step
  expect(gathered).toBe(base + 2 * adapters);
  const apart = await gatheredWithAdapters(0);
  // forward, of the reference, and backward, in two steps
  expect(apart.gathered).toBeGreaterThan(2 * 3 * base);
});

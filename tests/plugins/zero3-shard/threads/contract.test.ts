import { once } from 'node:events';
import { createLog } from 'mooring';
import { createSharedMemory } from '../../../../plugins/zero3-shard/threads/create-threads.ts';
import { SlowRanks } from '../../../../plugins/zero3-shard/threads/slow-ranks.ts';
import { startRanks } from '../../../../plugins/zero3-shard/threads/start-ranks.ts';
import { ThreadCollectives } from '../../../../plugins/zero3-shard/threads/thread-collectives.ts';
import { type Answer, perform } from '../../../core/collectives/call.ts';
import { describeCollectives, type Ranks } from '../../../core/collectives/suite.ts';
import { ranksProgram } from './support.ts';

describeCollectives('threads', openThreads, { runs: 8 });

async function openThreads(ranks: number): Promise<Ranks> {
  const memory = createSharedMemory(ranks);
  const first = new ThreadCollectives(memory, 0, new SlowRanks(0, createLog('silent')));
  const workers = startRanks(memory, ranksProgram('rank.ts'), () => undefined);
  return {
    async run(script) {
      const others = workers.map(async (worker) => (await once(worker, 'message'))[0] as Answer[]);
      for (const worker of workers) worker.postMessage(script);
      return Promise.all([perform(first, script), ...others]);
    },
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}

import { parentPort, workerData } from 'node:worker_threads';
import { createLog } from 'mooring';
import { SlowRanks } from '../../../../plugins/zero3-shard/threads/slow-ranks.ts';
import type { RankData } from '../../../../plugins/zero3-shard/threads/start-ranks.ts';
import { ThreadCollectives } from '../../../../plugins/zero3-shard/threads/thread-collectives.ts';
import { perform, type Script } from '../../../core/collectives/call.ts';

// a rank of a test: performs the scripts that it is sent
const { rank, memory } = (workerData as RankData).mooring;
const collectives = new ThreadCollectives(memory, rank, new SlowRanks(rank, createLog('warn')));
parentPort?.on('message', async (script: Script | undefined) => {
  if (script === undefined) parentPort?.close();
  else parentPort?.postMessage(await perform(collectives, script));
});

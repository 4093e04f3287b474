import { inRanks } from 'mooring/testing';
import { perform } from './call.ts';
import { describeCollectives } from './suite.ts';

describeCollectives('one thread', async (ranks) => {
  const all = await inRanks(ranks, async (collectives) => collectives);
  return { run: (script) => Promise.all(all.map((each) => perform(each, script))), close: async () => undefined };
});

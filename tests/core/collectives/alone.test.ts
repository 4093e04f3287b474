import { alone } from 'mooring';
import { perform } from './call.ts';
import { describeCollectives } from './suite.ts';

describeCollectives(
  'alone',
  async () => ({ run: async (script) => [await perform(alone, script)], close: async () => undefined }),
  { of: [1] },
);

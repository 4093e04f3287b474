import { test } from '@jest/globals';
import { describeCollectives, type Ranks } from '../../../core/collectives/suite.ts';
import { LaunchedRanks, launchCommand, launcher, skipped } from './launch.ts';

const isAnswer = (said: Record<string, unknown>) => 'answers' in said;

/** The script goes to every rank, and its answers come back. */
async function open(ranks: number, settings: readonly number[] = []): Promise<Ranks> {
  const launched = await LaunchedRanks.launch(ranks, settings);
  return {
    async run(script) {
      launched.tell({ kind: 'perform', script });
      const said = await Promise.all(Array.from({ length: ranks }, (_, rank) => launched.until(rank, isAnswer)));
      return said.map(({ answers }) => answers as never);
    },
    close: () => {
      launched.tell({ kind: 'end' });
      return launched.end();
    },
  };
}

if (launchCommand === undefined) test.skip(skipped, () => undefined);
else {
  describeCollectives(launcher, (ranks) => open(ranks), { runs: 20 });
  describeCollectives(`${launcher} in pieces of 1000 bytes`, (ranks) => open(ranks, [1000]), { of: [3], runs: 20 });
}

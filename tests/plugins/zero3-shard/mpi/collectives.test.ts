import { describe, test } from '@jest/globals';
import { describeCollectives, type Ranks } from '../../../core/collectives/suite.ts';
import { LaunchedRanks, type Launcher, launchers, missing } from './launch.ts';

/** The script goes to every rank, and its answers come back. */
async function open(launcher: Launcher, ranks: number, settings: readonly number[] = []): Promise<Ranks> {
  const launched = await LaunchedRanks.launch(launcher, ranks, settings);
  return {
    async run(script) {
      launched.tell({ kind: 'perform', script });
      const said = await Promise.all(Array.from({ length: ranks }, (_, rank) => launched.next(rank)));
      return said.map(({ answers }) => answers as never);
    },
    close: () => {
      launched.tell({ kind: 'end' });
      return launched.end();
    },
  };
}

for (const launcher of Object.keys(launchers) as Launcher[]) {
  const reason = missing(launcher);
  if (reason !== undefined) {
    describe(launcher, () => test.skip(reason, () => undefined));
    continue;
  }
  describeCollectives(launcher, (ranks) => open(launcher, ranks), { runs: 20 });
  describeCollectives(`${launcher}, split every 44 bytes,`, (ranks) => open(launcher, ranks, [44]), {
    of: [3],
    runs: 20,
  });
}

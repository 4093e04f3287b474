import { Collectives, definePlugin, Model } from 'mooring';
import { ShardingStatistics, zero3Shard } from 'mooring/plugins/zero3-shard';
import { readBenchRun, trainBench } from './bench-run.ts';
import { createClock, type Timed, timedSteps } from './clock.ts';
import { stepTraffic } from './gathered-bytes.ts';
import { tellRanks } from './tell-ranks.ts';

/** What ranks say of the steps that they timed together: times of the first, the most memory of any. */
export interface ShardedTimed extends Timed {
  readonly ranks: number;
  /** Bytes of a step that the first rank gathered from others and sent of gradients, and the same by the formula. */
  readonly gathered: number;
  readonly gathered_formula: number;
  readonly reduced: number;
  readonly reduced_formula: number;
  /** Milliseconds of a step from the beginning of gathers to their end, and the share in which no block waited. */
  readonly gathering_ms: number;
  readonly hidden_share: number;
}

// times DPO steps over ranks and prints one line of JSON: node ... sharded-step.ts tiny 25 --ranks 2, or under mpirun
const run = readBenchRun();
const { ranks, transport } = run;
const persistenceThreshold = 100_000;
const clock = createClock();
const teller = definePlugin({
  name: 'teller',
  apiVersion: 1,
  uses: { model: Model, collectives: Collectives, statistics: ShardingStatistics },
  apply({ hooks, services }) {
    let [steps, before] = [0, { gathered: 0, reduced: 0, gathering: 0, waited: 0 }];
    const seen = () => {
      const { bytesGathered, bytesReduced, millisecondsGathering, millisecondsWaited } = services.statistics;
      return {
        gathered: bytesGathered,
        reduced: bytesReduced,
        gathering: millisecondsGathering,
        waited: millisecondsWaited,
      };
    };
    hooks.stepEnd.tap(({ step }) => {
      // the first step compiles
      if (step.index === 1) before = seen();
      else steps++;
    });
    hooks.trainEnd.tap(async () => {
      const { collectives, model } = services;
      const now = seen();
      const each = (name: keyof typeof before) => (now[name] - before[name]) / Math.max(1, steps);
      const timed = timedSteps(clock);
      const all = await tellRanks(collectives, { peak: timed.rss_peak });
      if (collectives.rank > 0) return;
      const formula = stepTraffic(model, { rank: 0, ranks: collectives.ranks, persistenceThreshold });
      const told: ShardedTimed = {
        ...timed,
        rss_peak: Math.max(...all.map(({ peak = 0 }) => peak)),
        ranks: collectives.ranks,
        gathered: each('gathered'),
        gathered_formula: formula.gathered,
        reduced: each('reduced'),
        reduced_formula: formula.reduced,
        gathering_ms: each('gathering'),
        hidden_share: 1 - each('waited') / Math.max(each('gathering'), 1e-9),
      };
      console.log(JSON.stringify(told));
    });
  },
});
await trainBench(run, zero3Shard({ ranks, transport, persistenceThreshold }), clock.plugin, teller());

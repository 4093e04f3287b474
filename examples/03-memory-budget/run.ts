import path from 'node:path';
import { Collectives, createLog, createTrainer, definePlugin, Engine } from 'mooring';
import { defaults } from 'mooring/plugins';
import { advisor } from 'mooring/plugins/advise';
import { dpo } from 'mooring/plugins/dpo';
import { refReload } from 'mooring/plugins/ref-reload';
import { zero3Shard } from 'mooring/plugins/zero3-shard';

/** What each rank held at most, and what training came to, as the first rank tells it on its last line. */
export interface Told {
  readonly transport: string;
  readonly resident: readonly number[];
  readonly tensors: readonly number[];
  readonly losses: readonly number[];
}

/** What a run of the example is made of. */
export interface BudgetRun {
  readonly folder: string;
  readonly memory: string;
  readonly ranks: number;
}

/** DPO under a budget, its reference read from disk block by block: on one rank, or sharded over several. */
export async function trainUnderBudget({ folder, memory, ranks }: BudgetRun, told: (figures: Told) => void) {
  const model = path.join(folder, 'model');
  const losses: number[] = [];
  const watch = definePlugin({
    name: 'watch',
    apiVersion: 1,
    uses: { collectives: Collectives, engine: Engine },
    apply({ hooks, services }) {
      hooks.stepEnd.tap(({ record }) => void losses.push(record.loss ?? Number.NaN));
      hooks.trainEnd.tap(async () => {
        const { collectives, engine } = services;
        const own = Float64Array.of(process.resourceUsage().maxRSS * 1024, engine.peakBytes());
        const sizes = Array.from({ length: collectives.ranks }, () => own.byteLength);
        const bytes = await collectives.allGather(new Uint8Array(own.buffer), sizes, 'what each rank held');
        const all = new Float64Array(bytes.slice().buffer);
        const of = (figure: number) => sizes.map((_, rank) => all[2 * rank + figure] ?? 0);
        const { transport } = collectives;
        if (collectives.rank === 0) told({ transport, resident: of(0), tensors: of(1), losses });
      });
    },
  });
  const train = { steps: 2, batchSize: 4, learningRate: 1e-4, maxLength: 48, seed: 1, compile: 'off' } as const;
  await createTrainer({ model, data: path.join(folder, 'pairs.jsonl'), train }, { log: createLog('warn') })
    .use(...defaults(), dpo({ beta: 0.1 }), refReload({ model, offload: 'disk' }), advisor({ memory }))
    .use(...(ranks > 1 ? [zero3Shard({ ranks })] : []), watch())
    .remove('progress')
    .train();
}

// one rank of several, as mpirun or another thread starts it: run.ts FOLDER 1.3GiB 4
const [entry = '', folder = '', memory = '', ranks = ''] = process.argv.slice(1);
if (entry === import.meta.filename)
  await trainUnderBudget({ folder, memory, ranks: Number(ranks) }, (figures) => console.log(JSON.stringify(figures)));

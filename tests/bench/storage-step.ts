import { definePlugin, ParameterStore } from 'mooring';
import { z } from 'zod';
import { readBenchRun, trainBench } from './bench-run.ts';
import { createClock, type Timed, timedSteps } from './clock.ts';

/** What a run over a frozen base says of its memory, in MiB, and of its steps. */
export interface StorageRun extends Timed {
  /** Of all weights, as the store counts them. */
  readonly weights: number;
  /** Resident memory that loading the weights took. */
  readonly loaded: number;
  /** Processor milliseconds of the step that took the fewest, over both threads: what other processes disturb least. */
  readonly cpu_ms: number;
}

/**
 * Trains the norms only, as adapters would be: gradients flow through the whole frozen base, which policy and reference
 * share. `node ... storage-step.ts 0.1b 8` keeps the base as float32, with `bfloat16` before that as bfloat16.
 */
const storage = process.argv.includes('bfloat16') ? 'bfloat16' : 'float32';
process.argv = process.argv.filter((argument) => argument !== 'bfloat16');
const clock = createClock();
const told = { weights: 0, loaded: 0, cpu_ms: Infinity };

const frozenBase = definePlugin({
  name: 'frozen-base',
  apiVersion: 1,
  options: z.strictObject({ storage: z.enum(['float32', 'bfloat16']) }),
  uses: { store: ParameterStore },
  apply({ hooks, options, services }) {
    hooks.modelDefined.tap(({ model }) => {
      for (const { name, shape } of model.parameters) {
        if (shape.length === 1) continue;
        services.store.setTrainable(name, false);
        services.store.setStorage(name, options.storage);
      }
    });
    let before = process.cpuUsage();
    hooks.stepBegin.tap(() => {
      before = process.cpuUsage();
    });
    hooks.stepEnd.tap(() => {
      const { user, system } = process.cpuUsage(before);
      told.cpu_ms = Math.min(told.cpu_ms, (user + system) / 1000);
    });
    hooks.modelReady.tap(() => {
      told.weights = services.store.bytesResident('policy') / 2 ** 20;
      told.loaded = process.memoryUsage.rss() / 2 ** 20 - clock.rssAtSetup();
    });
  },
});

await trainBench(readBenchRun(), clock.plugin, frozenBase({ storage }));
console.log(JSON.stringify({ ...told, ...timedSteps(clock) } satisfies StorageRun));

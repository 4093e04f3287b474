import { createTrainer, DataSource, definePlugin, Model, Optimizer, type PreferenceBatch, packBranches } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { type BlockCost, bytesOfBlocks } from './step-work.ts';

/** A micro-batch of pairs: how many, and their tokens. */
export interface Workload {
  readonly pairs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** The first steps compile, and are not measured. */
const warmUpSteps = 3;

/** Trains a few steps on made-up pairs and takes the least that each block took, forward and backward. */
export async function measureBlocks(model: string, workload: Workload, steps = 10) {
  const least = new Map<string, number>();
  let bytes = new Map<string, { parameterBytes: number; gradientBytes: number }>();
  let kinds: readonly { readonly name: string; readonly kind: BlockCost['kind'] }[] = [];
  const stopwatch = definePlugin({
    name: 'stopwatch',
    apiVersion: 1,
    uses: { model: Model },
    apply({ hooks, services, decorate }) {
      let [began, step] = [0, 0];
      const lap = (what: string) => {
        if (step > warmUpSteps) least.set(what, Math.min(least.get(what) ?? Infinity, performance.now() - began));
      };
      const start = () => {
        began = performance.now();
      };
      hooks.modelReady.tap(() => {
        bytes = bytesOfBlocks(services.model);
        kinds = services.model.blocks.map(({ name, kind }) => ({ name, kind }));
      });
      hooks.stepBegin.tap((begun) => {
        step = begun.step.index;
      });
      hooks.beforeForward.tap(start);
      hooks.afterForward.tap(({ block, pass }) => lap(`${pass.key} ${block.name}`));
      hooks.beforeBackward.tap(start);
      hooks.afterBackward.tap(({ block }) => lap(`backward ${block.name}`));
      decorate(Optimizer, {
        uses: {},
        create: (optimizer) => ({
          ...optimizer,
          step(gradients, options) {
            start();
            optimizer.step(gradients, options);
            lap('optimizer');
          },
        }),
      });
    },
  });
  await createTrainer({
    model,
    train: { steps, batchSize: workload.pairs, learningRate: 1e-5, schedule: 'constant', compile: 'on' },
  })
    .use(causalLm(), madeUpPairs(workload)(), dpo(), refClone(), stopwatch())
    .train();
  const seconds = (what: string) => (least.get(what) ?? 0) / 1000;
  const blocks = kinds.map(({ name, kind }) => ({
    name,
    kind,
    policySeconds: seconds(`policy ${name}`),
    referenceSeconds: seconds(`reference ${name}`),
    backwardSeconds: seconds(`backward ${name}`),
    ...(bytes.get(name) ?? { parameterBytes: 0, gradientBytes: 0 }),
  }));
  return { blocks, optimizerSeconds: seconds('optimizer') };
}

/** Pairs whose tokens follow a rule: what they are changes no time. */
function madeUpPairs({ pairs, promptTokens, completionTokens }: Workload) {
  const ids = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => 3 + ((7 * from + 11 * at) % 997));
  const sides = [1, 2].map((side) =>
    Array.from({ length: pairs }, (_, pair) => ({
      ids: [...ids(pair, promptTokens), ...ids(pair + 100 * side, completionTokens)],
      completionStart: promptTokens,
    })),
  );
  const counts = { row: pairs, token: 2 * pairs * completionTokens, chosenToken: pairs * completionTokens };
  return definePlugin({
    name: 'made-up-pairs',
    apiVersion: 1,
    apply: ({ provide }) =>
      provide(DataSource, {
        uses: {},
        create: (): DataSource => ({
          fingerprint: 'made-up-pairs',
          batchesPerEpoch: 100,
          async *open(first): AsyncIterableIterator<PreferenceBatch> {
            for (let position = first; ; position++) {
              const rows = packBranches(sides, { firstRow: 2 * pairs * position });
              yield { kind: 'preference', position, origin: `batch ${position}`, counts, pairs, rows };
            }
          },
        }),
      }),
  });
}

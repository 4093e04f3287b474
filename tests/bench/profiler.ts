import { type Block, definePlugin, Optimizer, type Plugin } from 'mooring';

/** Milliseconds of each part of each step. Every moment of a step belongs to one part. */
export interface Profile {
  readonly plugin: Plugin;
  readonly steps: readonly ReadonlyMap<string, number>[];
}

/** The parts that are not a block's, whose names are `policy forward: layer`, `backward: head` and so on. */
export const parts = {
  waiting: 'waiting for data',
  loss: 'loss and metrics',
  norm: 'gradient norm',
  optimizer: 'optimizer',
  rest: 'the rest',
} as const;

/**
 * Times the parts of a step from outside, as any plugin could: a moment between two hooks is charged to the part that
 * ends there. Register it last, so that its taps stand next to the work.
 */
export function createProfiler(): Profile {
  const steps: Map<string, number>[] = [];
  let current = new Map<string, number>();
  let last = performance.now();
  let direction: 'forward' | 'backward' = 'forward';
  const charge = (part: string) => {
    const now = performance.now();
    current.set(part, (current.get(part) ?? 0) + now - last);
    last = now;
  };
  const forward = (view: string, { kind }: Block) => `${view === 'policy' ? 'policy' : 'reference'} forward: ${kind}`;

  const profiler = definePlugin({
    name: 'profiler',
    apiVersion: 1,
    apply({ hooks, decorate }) {
      hooks.stepBegin.tap(() => charge(parts.waiting));
      hooks.beforeForward.tap(() => {
        charge(direction === 'backward' ? parts.loss : parts.rest); // after a backward: another micro-batch
        direction = 'forward';
      });
      hooks.afterForward.tap(({ block, pass }) => charge(forward(pass.view, block)));
      hooks.beforeBackward.tap(() => {
        charge(direction === 'forward' ? parts.loss : parts.rest);
        direction = 'backward';
      });
      hooks.afterBackward.tap(({ block }) => charge(`backward: ${block.kind}`));
      hooks.gradientsReady.tap(() => charge(parts.loss));
      decorate(Optimizer, {
        uses: {},
        create: (optimizer) => ({
          step(gradients, options) {
            charge(parts.norm);
            optimizer.step(gradients, options);
            charge(parts.optimizer);
          },
          save: () => optimizer.save(),
          load: (state) => optimizer.load(state),
          dispose: () => optimizer.dispose(),
        }),
      });
      hooks.stepEnd.tap(() => {
        charge(parts.rest);
        steps.push(current);
        current = new Map();
        direction = 'forward';
      });
    },
  });
  return { plugin: profiler(), steps };
}

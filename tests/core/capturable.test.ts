import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { definePlugin, type Plugin } from 'mooring';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../core/engine/install/cache.ts';
import type { PluginContext } from '../../core/plugin.ts';
import { compiled, eagerly, expectSame, stacked, warnings } from './compiled.ts';
import { plugin } from './support.ts';

type Apply = (context: PluginContext<undefined, Record<never, never>>) => void;

/** A plugin that says that its taps may be captured, or does not. */
const made = (capturable: boolean, apply: Apply, name = 'alpha'): Plugin =>
  definePlugin({ name, apiVersion: 1, capturable, apply })();

/** One tap of each hook that is called inside of blocks, with a parameter of its own. `see` gets what passes by. */
const taps = {
  readParameter:
    (see: (tensor: tf.Tensor) => void): Apply =>
    ({ hooks }) => {
      defineScale(hooks);
      hooks.readParameter.tap((value, { parameter, read }) => {
        if (parameter.name !== 'head.weight') return undefined;
        see(value);
        return tf.mul<tf.Tensor>(value, tf.exp(read('scale')));
      });
    },
  projection:
    (see: (tensor: tf.Tensor) => void): Apply =>
    ({ hooks }) => {
      defineScale(hooks);
      hooks.projection.tap((output, { name, input, weight, read }) => {
        if (name !== 'scores') return undefined;
        see(output);
        const normal = tf.div(tf.matMul(input as tf.Tensor2D, tf.tanh(weight()) as tf.Tensor2D, false, true), 2);
        return tf.add<tf.Tensor>(output, tf.mul(normal, read('scale')));
      });
    },
};

function defineScale(hooks: Parameters<Apply>[0]['hooks']): void {
  hooks.modelDefined.tap(({ define }) => {
    define('head', 'scale', { name: 'alpha.scale', shape: [], isDecayed: false }, tf.scalar(0.25));
  });
}

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

ifInstalled.each(['readParameter', 'projection'] as const)('a tap of %s', (hook) => {
  test('that may be captured is called while recording only, and its parameters are trained', async () => {
    const callsByStep: number[] = [];
    let calls = 0;
    const tap = made(
      true,
      taps[hook](() => calls++),
    );
    const count = plugin('count', ({ hooks }) => hooks.stepEnd.tap(() => void callsByStep.push(calls)));
    const run = await compiled([tap, count]);
    expect(callsByStep[0]).toBeGreaterThan(0);
    expect(callsByStep.slice(1)).toEqual([callsByStep[0], callsByStep[0]]);
    expectSame(
      run,
      await eagerly([
        made(
          true,
          taps[hook](() => undefined),
        ),
      ]),
    );
    expect(run.gradients.map((step) => step['alpha.scale']?.[0])).not.toContain(0);
    expect(run.final['alpha.scale']).not.toEqual(run.initial['alpha.scale']);
    expect(warnings(run)).toEqual([]);
  });

  test('that may not is called at every step with tensors that have values, and the log says so once', async () => {
    const seen: number[][] = [];
    const reading = () =>
      made(
        false,
        taps[hook]((tensor) => void seen.push(Array.from(tensor.dataSync()))),
      );
    const run = await compiled([reading()]);
    const inCompiled = seen.splice(0);
    expectSame(run, await eagerly([reading()]));
    expect(inCompiled).toEqual(seen);
    expect(new Set(seen.map(String)).size).toBeGreaterThanOrEqual(3); // it changes as the model learns
    expect(warnings(run)).toEqual([expect.stringMatching(new RegExp(`alpha.*${hook}.*eagerly`))]);
  });

  test('that may not is what explain says of it', () => {
    const whyOf = (capturable: boolean) => {
      const plan = toyRun([
        made(
          capturable,
          taps[hook](() => undefined),
        ),
      ]).trainer.explain();
      return plan.hooks.find((planned) => planned.hook === hook)?.taps.map(({ why }) => why);
    };
    expect(whyOf(false)).toEqual([expect.stringContaining('not capturable')]);
    expect(whyOf(true)).toEqual([expect.not.stringContaining('capturable')]);
  });
});

ifInstalled('a plugin that says that it may be captured', () => {
  const sorting = (name: string) =>
    made(
      true,
      ({ hooks }) => {
        hooks.projection.tap((output, { name }) => {
          if (name !== 'scores') return undefined;
          tf.topk(output, 1);
          return output.mul<tf.Tensor>(2);
        });
      },
      name,
    );

  test('and uses an operation that cannot, runs eagerly with the same figures, and the log names both', async () => {
    const run = await compiled([sorting('alpha')]);
    expectSame(run, await eagerly([sorting('alpha')]));
    expect(warnings(run)).toEqual([expect.stringMatching(/head.*alpha.*TopKV2/)]);
  });

  test('is named also where another one uses the same operation in another block', async () => {
    const inEmbedding = made(
      true,
      ({ hooks }) => {
        hooks.projection.tap((output, { name }) => {
          if (name === 'tokens') tf.topk(output, 1);
          return undefined;
        });
      },
      'bravo',
    );
    const run = await compiled([sorting('alpha'), inEmbedding]);
    expect(warnings(run)).toEqual([
      expect.stringMatching(/embedding.*bravo.*TopKV2/),
      expect.stringMatching(/head.*alpha.*TopKV2/),
    ]);
  });

  test('and reads a value, runs eagerly with the same figures', async () => {
    const reading = () =>
      made(true, ({ hooks }) => {
        hooks.readParameter.tap((value, { parameter }) =>
          parameter.name === 'head.bias' ? value.mul<tf.Tensor>(1 + (value.dataSync()[0] as number)) : undefined,
        );
      });
    const run = await compiled([reading()]);
    expectSame(run, await eagerly([reading()]));
    expect(warnings(run)).toEqual([expect.stringMatching(/alpha/)]);
  });

  test('and keeps a tensor of its own beside the model, runs eagerly with the same figures', async () => {
    const keeping = () => {
      const factor = tf.scalar(1.5);
      return made(true, ({ hooks }) => {
        hooks.projection.tap((output) => output.mul<tf.Tensor>(factor));
        hooks.teardown.tap(() => factor.dispose());
      });
    };
    const run = await compiled([keeping()]);
    expectSame(run, await eagerly([keeping()]));
    expect(warnings(run).length).toBeGreaterThan(0);
  });

  test('and fails, ends the run with its own error', async () => {
    const failing = made(true, ({ hooks }) => {
      hooks.projection.tap(() => {
        throw new TypeError('boom');
      });
    });
    await expect(compiled([failing])).rejects.toMatchObject({ code: 'HOOK_FAILED', place: { plugin: 'alpha' } });
  });
});

ifInstalled('layers', () => {
  /** Of a run with equal layers between embedding and head. */
  const executablesOf = async (layers: number, plugins: Plugin[] = []) => {
    const run = await compiled([stacked(layers), ...plugins]);
    expectSame(run, await eagerly([stacked(layers), ...plugins]));
    const counts = run.logged.flatMap(({ details }) => ('executables' in details ? [details.executables] : []));
    expect(counts).toHaveLength(1);
    return counts[0] as number;
  };
  /** Widens the rank of some layers' low-rank term. */
  const ranked = (ranks: Record<string, number>) =>
    made(true, ({ hooks }) => {
      hooks.modelDefined.tap(({ define }) => {
        for (const [block, rank] of Object.entries(ranks)) {
          const spec = { name: `${block}.down`, shape: [4, rank], isDecayed: false };
          define(block, 'down', spec, tf.fill([4, rank], 0.1 / rank));
        }
      });
      hooks.projection.tap((output, { block, input, read }) => {
        if (!(block.name in ranks)) return undefined;
        const down = read('down') as tf.Tensor2D;
        return tf.add<tf.Tensor>(output, tf.matMul(tf.matMul(input as tf.Tensor2D, down), down, false, true));
      });
    });

  test('that are equal share one executable forward and one backward, however many there are', async () => {
    const few = await executablesOf(2);
    expect(await executablesOf(6)).toBe(few);
  });

  test('whose taps differ get their own, and equal ones share theirs', async () => {
    const without = await executablesOf(4);
    const pattern = { 'layer 0': 2, 'layer 1': 3, 'layer 2': 2 };
    expect(await executablesOf(4, [ranked(pattern)])).toBe(without + 4);
  });

  test('are not changed by a hook that nobody taps, nor by hooks between blocks', async () => {
    const visitor = plugin('visitor', ({ hooks }) => {
      hooks.beforeForward.tap(() => undefined);
      hooks.gradient.tap((gradient) => gradient.mul<tf.Tensor>(2));
    });
    expect(await executablesOf(3, [visitor])).toBe(await executablesOf(3));
  });
});

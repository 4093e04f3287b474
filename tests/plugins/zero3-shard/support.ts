import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { type Collectives, Driver, definePlugin, type Plugin, packBranches, packRows, type Rows } from 'mooring';
import { splitDriver } from '../../../plugins/zero3-shard/split/split-driver.ts';

/** Data parallelism alone: the driver split among ranks, and gradients that are added up once a step. */
export function splitting(collectives: Collectives): Plugin {
  return definePlugin({
    name: 'splitting',
    apiVersion: 1,
    preservesTraining: true,
    apply({ hooks, decorate }) {
      decorate(Driver, { uses: {}, create: (inner) => splitDriver(inner, collectives) });
      hooks.gradientsReady.tap(async ({ gradients }) => {
        for (const name of gradients.names) {
          const own = gradients.read(name);
          const sum = await collectives.allReduce(await own.data<'float32'>(), 'sum', `the gradient of ${name}`);
          gradients.write(name, tf.tensor(sum, own.shape));
          own.dispose();
        }
      });
    },
  })();
}

/** Up to seven rows, of one sequence each or of two branches, some without a token to score. */
export const anyRows: fc.Arbitrary<Rows> = fc
  .tuple(
    fc.boolean(),
    fc.nat(50),
    fc.array(fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: 2, maxLength: 2 }), { maxLength: 7 }),
  )
  .map(([isForked, firstRow, lengths]) => {
    const sides = [0, 1].map((side) =>
      lengths.map((both, row) => {
        const [prompt, completion] = both[side] as [number, number];
        const ids = [row % 8, ...Array.from({ length: prompt + completion }, (_, at) => (3 * row + side + 2 * at) % 8)];
        return { ids, completionStart: 1 + prompt };
      }),
    );
    return isForked ? packBranches(sides, { firstRow }) : packRows(sides[0] as [], { firstRow });
  });

/** Values of tensors, by name. */
export async function valuesOf(
  tensors: Readonly<Record<string, tf.Tensor | undefined>>,
): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (const [name, tensor] of Object.entries(tensors))
    if (tensor !== undefined) values[name] = [...(await tensor.data())];
  return values;
}

/** How far two lists of numbers are apart at most, absolutely or relatively, whichever is less. */
export function distance(one: readonly number[], other: readonly number[]): number {
  if (one.length !== other.length) return Infinity;
  const apart = one.map((value, at) => Math.abs(value - (other[at] as number)) / Math.max(1, Math.abs(value)));
  return Math.max(0, ...apart);
}

/** Collectives that note what each call is for. */
export function recorded(inner: Collectives, calls: string[]): Collectives {
  const noted =
    <Args extends readonly unknown[], Result>(call: (...args: Args) => Result) =>
    (...args: Args) => {
      calls.push(String(args.at(-1)));
      return call(...args);
    };
  return {
    ...inner,
    allGather: noted(inner.allGather) as Collectives['allGather'],
    reduceScatter: noted(inner.reduceScatter) as Collectives['reduceScatter'],
    allReduce: noted(inner.allReduce) as Collectives['allReduce'],
    broadcast: noted(inner.broadcast) as Collectives['broadcast'],
    barrier: noted(inner.barrier),
  };
}

import { definePlugin, type Gradients, ParameterStore, type Plugin, type StepRecord, type TrainResult } from 'mooring';
import { type ToyRun, toyRun } from 'mooring/testing';

/** What one hook is shown to do. */
export interface Case {
  readonly claim: string;
  readonly test: () => Promise<void>;
}

/** Everything that can be seen of a toy run from outside. */
export interface Observed {
  readonly result: TrainResult;
  readonly records: readonly StepRecord[];
  /** The gradients of each step, not yet clipped. */
  readonly gradients: readonly Readonly<Record<string, number[]>>[];
  /** The weights before and after training. */
  readonly initial: Readonly<Record<string, number[]>>;
  readonly final: Readonly<Record<string, number[]>>;
  readonly logged: ToyRun['logged'];
}

/** Trains the toy beside the given plugins, and writes down what comes of it. */
export async function observe(
  plugins: readonly Plugin[] = [],
  train: Parameters<typeof toyRun>[1] = {},
  output?: string,
): Promise<Observed> {
  const records: StepRecord[] = [];
  const gradients: Record<string, number[]>[] = [];
  const weights: Record<string, number[]>[] = [];
  const observer = definePlugin({
    name: 'observer',
    apiVersion: 1,
    uses: { store: ParameterStore },
    apply({ hooks, services }) {
      const readWeights = () => {
        const { store } = services;
        weights.push(readAll({ names: store.names, read: (name) => store.read(name, 'policy') }));
      };
      hooks.trainBegin.tap(readWeights);
      hooks.gradientsReady.tap((seen) => void gradients.push(readAll(seen.gradients)));
      hooks.stepEnd.tap(({ record }) => void records.push(record));
      hooks.trainEnd.tap(readWeights);
    },
  });
  const { trainer, logged } = toyRun([...plugins, observer()], { steps: 1, ...train }, output);
  const result = await trainer.train();
  const [initial = {}, final = {}] = weights;
  return { result, records, gradients, initial, final, logged };
}

/** The sum of the products of two lists. */
export function dot(one: readonly number[] = [], other: readonly number[] = []): number {
  return one.reduce((sum, value, at) => sum + value * (other[at] as number), 0);
}

function readAll({ names, read }: Pick<Gradients, 'names' | 'read'>): Record<string, number[]> {
  const values = (name: string) => {
    const tensor = read(name);
    const list = Array.from(tensor.dataSync());
    tensor.dispose();
    return list;
  };
  return Object.fromEntries(names.map((name) => [name, values(name)]));
}

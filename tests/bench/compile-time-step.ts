import { createTrainer, definePlugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { refClone } from 'mooring/plugins/ref-clone';
import { Compiler } from '../../core/engine/compile/compile.ts';
import { batch, oneOf } from './bench-run.ts';
import { createClock, type Timed, timedSteps } from './clock.ts';
import { type BenchModel, benchModels, modelFolder } from './models.ts';
import { modeSettings, modes } from './modes.ts';
import { randomPairs } from './random-pairs.ts';

/** What a process says of a first step, and of compiling it. */
export interface CompileTime extends Timed {
  /** How many different ones there are. */
  readonly executables: number;
  /** How many layers were recorded, of policy and reference. */
  readonly recorded: number;
  /** Milliseconds in which blocks were recorded, split and encoded: all of them, and the median of a layer. */
  readonly recording_ms: number;
  readonly layer_ms: number;
  /** Milliseconds of loading executables and of their first runs, in which XLA compiles. */
  readonly compiling_ms: number;
}

// takes one step of a model with so many layers and prints one line of JSON: node ... compile-time-step.ts tiny 48 compiled
const [name = '', layers, mode = ''] = process.argv.slice(2);
const model = oneOf(name, Object.keys(benchModels) as BenchModel[]);
const shape = { ...benchModels[model], layers: Number(layers) };

// a block is recorded between the tap before its forward pass and the last of the executables that it asks for
let compiler: Compiler | undefined;
let visited = { isLayer: false, began: 0, recording: 0 };
const recorded = new Set<typeof visited>();
const { executable } = Compiler.prototype;
Compiler.prototype.executable = function (...given) {
  compiler = this;
  const asked = executable.apply(this, given);
  visited.recording = performance.now() - visited.began;
  recorded.add(visited);
  return asked;
};
const watch = definePlugin({
  name: 'watch',
  apiVersion: 1,
  apply({ hooks }) {
    hooks.beforeForward.tap(({ block }) => {
      visited = { isLayer: block.kind === 'layer', began: performance.now(), recording: 0 };
    });
  },
});

const clock = createClock();
await createTrainer({
  model: modelFolder(`${model}-${layers}`, shape),
  train: {
    steps: 1,
    learningRate: 1e-4,
    schedule: 'constant',
    batchSize: batch.pairs,
    ...modeSettings(oneOf(mode, modes)),
  },
})
  .use(
    causalLm(),
    randomPairs({ ...batch, vocabulary: Math.min(8192, shape.vocabulary) }),
    dpo({ beta: 0.1 }),
    refClone(),
    watch(),
    clock.plugin,
  )
  .train();

const ofLayers = [...recorded].filter(({ isLayer }) => isLayer).map(({ recording }) => recording);
const told: CompileTime = {
  ...timedSteps(clock),
  executables: compiler?.size ?? 0,
  recorded: ofLayers.length,
  recording_ms: [...recorded].reduce((sum, { recording }) => sum + recording, 0),
  layer_ms: ofLayers.sort((a, b) => a - b)[Math.floor(ofLayers.length / 2)] ?? 0,
  compiling_ms: compiler?.milliseconds ?? 0,
};
console.log(JSON.stringify(told));

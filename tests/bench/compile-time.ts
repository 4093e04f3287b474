import { oneOf } from './bench-run.ts';
import type { CompileTime } from './compile-time-step.ts';
import { measureOurs } from './measure.ts';
import { benchModels } from './models.ts';
import { table } from './table.ts';

// what compiling takes at the start of a run, by the number of layers: node ... compile-time.ts [tiny] [0.1b]
const known = Object.keys(benchModels);
const asked = process.argv.slice(2).map((name) => oneOf(name, known));
const head = ['executables', 'layers recorded', 'ms each', 'recording s', 'compiling s', 'first step s', 'eager'];

const lines = (asked.length === 0 ? known : asked).flatMap((model) => [4, 12, 48].map((layers) => line(model, layers)));
console.log(table([['', ...head], ...lines]));

function line(model: string, layers: number): string[] {
  const [compiled, eager] = ['compiled', 'eager'].map((mode) =>
    measureOurs<CompileTime>('compile-time-step.ts', [model, String(layers), mode]),
  ) as [CompileTime, CompileTime];
  return [
    `${model}, ${layers} layers`,
    compiled.executables.toFixed(),
    compiled.recorded.toFixed(),
    compiled.layer_ms.toFixed(1),
    (compiled.recording_ms / 1000).toFixed(2),
    (compiled.compiling_ms / 1000).toFixed(2),
    compiled.first_step_s.toFixed(1),
    eager.first_step_s.toFixed(1),
  ];
}

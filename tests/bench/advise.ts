import { type AdviseMode, adviseModes } from './advise-modes.ts';
import type { AdviseFigures } from './advise-step.ts';
import { oneOf } from './bench-run.ts';
import { hasMpirun, measureOurs, measureProcesses } from './measure.ts';
import { type BenchModel, benchModels } from './models.ts';
import { table } from './table.ts';

// what `mooring advise` predicts against what runs hold: node ... advise.ts [tiny,0.1b] [mode ...]
// Modes with ranks are processes under mpirun where there is one, else threads, whose resident memory is that of all.
// Exits with 1 where tensors are off by more than 10 %, or resident memory of the 0.1b model by more than 15 %.
const [models = 'tiny,0.1b', ...names] = process.argv.slice(2);
const known = Object.keys(adviseModes);
const bounds = { tensors: 0.1, resident: 0.15 } as const;
let isWithin = true;

for (const given of models.split(',')) {
  const model = oneOf(given, Object.keys(benchModels) as BenchModel[]);
  const rows = (names.length === 0 ? known : names.map((name) => oneOf(name, known))).map((name) => {
    const { ranks } = adviseModes[name] as AdviseMode;
    const isOfProcess = ranks === undefined || hasMpirun;
    const told =
      ranks === undefined || !hasMpirun
        ? measureOurs<AdviseFigures>('advise-step.ts', [model, name])
        : measureProcesses<AdviseFigures>(ranks, 'advise-step.ts', [model, name]);
    console.error(`${model}, ${name}: ${JSON.stringify({ ...told, predicted: told.predicted.tensors })}`);
    return [name, ...compare(told, 'tensors', true), ...compare(told, 'resident', model === '0.1b' && isOfProcess)];
  });
  const head = ['predicted MB', 'tensors MB', 'ratio', '', 'predicted MB', 'resident MB', 'ratio', ''];
  console.log(`\n${model}: 4 pairs of 64 + 64 tokens\n${table([['', ...head], ...rows])}`);
}
process.exitCode = isWithin ? 0 : 1;

function compare(told: AdviseFigures, what: keyof typeof bounds, isBound: boolean): string[] {
  const [predicted, measured] = [told.predicted[what], told[what]];
  const ratio = predicted / measured;
  const isOff = Math.abs(ratio - 1) > bounds[what];
  if (isOff && isBound) isWithin = false;
  const verdict = !isBound ? 'not bound' : isOff ? 'OUTSIDE' : 'within';
  return [megabytes(predicted), megabytes(measured), ratio.toFixed(3), verdict];
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

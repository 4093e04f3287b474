export { type ToyRun, toyRun } from './run.ts';
export { toy } from './toy.ts';
export { type SeenCall, watch } from './watch.ts';

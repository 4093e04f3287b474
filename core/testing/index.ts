export { givenRanks, inRanks } from './ranks.ts';
export { type ToyRun, toyRun } from './run.ts';
export { toy } from './toy.ts';
export { type SeenCall, watch } from './watch.ts';

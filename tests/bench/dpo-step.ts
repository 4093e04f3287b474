import { readBenchRun, trainBench } from './bench-run.ts';
import { createClock, timedSteps } from './clock.ts';

// times DPO steps of one model in this process and prints one line of JSON: node ... dpo-step.ts tiny 25
const run = readBenchRun();
const clock = createClock();
const { record } = await trainBench(run, clock.plugin);
console.log(JSON.stringify({ ...run, ...timedSteps(clock), loss: record?.loss }));

import { refReload } from 'mooring/plugins/ref-reload';
import { readBenchRun, trainBench } from './bench-run.ts';
import { createClock, timedSteps } from './clock.ts';
import { modelFolder } from './models.ts';

/**
 * Times DPO steps whose reference is read from the policy's own folder, or is a clone where nothing is said of it:
 * `node ... reload-step.ts 0.1b 8 disk bfloat16`.
 */
const given = (name: string) => process.argv.includes(name);
const offload = given('disk') ? 'disk' : 'memory';
const storage = given('bfloat16') ? 'bfloat16' : 'float32';
const isReloaded = given('disk') || given('memory');
process.argv = process.argv.filter((each) => !['disk', 'memory', 'bfloat16'].includes(each));

const run = readBenchRun();
const clock = createClock();
const provider = isReloaded ? refReload({ model: modelFolder(run.model), offload, storage }) : undefined;
await trainBench({ ...run, provider }, clock.plugin);
console.log(JSON.stringify(timedSteps(clock)));

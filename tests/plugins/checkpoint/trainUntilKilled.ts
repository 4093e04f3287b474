import { toyRun } from 'mooring/testing';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';

// trains into the given folder, with a checkpoint at every step, and says each step that is saved
const [output, steps] = process.argv.slice(2);
const plugins = [refClone(), syncRefModel({ everySteps: 2 }), checkpoint({ everySteps: 1, keepLast: 2 })];
const { trainer, logged } = toyRun(plugins, { steps: Number(steps) }, output);
const { push } = logged;
logged.push = (...lines) => {
  for (const { details, message } of lines)
    if (/^saved/.test(message)) process.stdout.write(`${(details as { step: number }).step}\n`);
  return push.apply(logged, lines);
};
await trainer.train({ resume: true });

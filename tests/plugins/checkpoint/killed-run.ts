import { fileURLToPath } from 'node:url';
import type { Plugin } from 'mooring';
import { toyRun } from 'mooring/testing';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';

/** What the run has that is killed. */
export const killedPlugins = (everySteps: number): Plugin[] => [
  refClone(),
  syncRefModel({ everySteps: 2 }),
  checkpoint({ everySteps, keepLast: 2 }),
];

// trains into the given folder, with a checkpoint at every step, from where a former one was killed; says each that is saved
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { trainer, logged } = toyRun(killedPlugins(1), { steps: 1e4 }, process.argv[2]);
  logged.push = (...lines) => {
    for (const { details, message } of lines)
      if (/^saved/.test(message)) process.stdout.write(`${(details as { step: number }).step}\n`);
    return lines.length;
  };
  await trainer.train({ resume: true });
}

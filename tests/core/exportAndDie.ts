import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { definePlugin } from 'mooring';
import { toyRun } from 'mooring/testing';

// exports into the given folder, and is killed in the middle of it
const dying = definePlugin({
  name: 'dying',
  apiVersion: 1,
  apply({ hooks }) {
    hooks.export.tap(({ directory }) => {
      writeFileSync(path.join(directory, 'model'), 'half');
      process.kill(process.pid, 'SIGKILL');
    });
  },
});
await toyRun([dying()], { steps: 1 }, process.argv[2]).trainer.train();

import { definePlugin } from 'mooring';
import { adviseCommand } from './command.ts';

/** Predicts what each way to have a reference takes; it does nothing in a run. */
export const advisor = definePlugin({
  name: 'advise',
  apiVersion: 1,
  commands: [adviseCommand],
  apply() {},
});

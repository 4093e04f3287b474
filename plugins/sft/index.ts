import { definePlugin, Objective } from 'mooring';
import { createSftObjective } from './objective.ts';

/** Trains on the chosen completions of preference pairs by their likelihood. */
export const sft = definePlugin({
  name: 'sft',
  apiVersion: 1,
  apply: ({ provide }) => provide(Objective, { uses: {}, create: createSftObjective }),
});

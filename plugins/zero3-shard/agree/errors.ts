import { defineErrors } from 'mooring';

/** What can be wrong with ranks that are about to begin a run together. */
export const failure = defineErrors({
  RANKS_DIFFER: {
    fact: 'Ranks are about to do different things: {differences}.',
    consequence: 'They would wait for each other, or train a mixture of several runs, so nothing was trained.',
    remedy: 'Start every rank with the same run file, package and files.',
  },
});

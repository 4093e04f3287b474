import { defineErrors } from 'mooring';

/** Errors of sharded parameters. */
export const failure = defineErrors({
  PARAMETER_NOT_GATHERED: {
    fact: 'The parameter "{parameter}" is split among {ranks} ranks, and not gathered in the view "{view}" here.',
    consequence: 'This rank has elements {begin} to {end} of {elements}, so the whole value cannot be read.',
    remedy:
      'Read it inside `store.withGathered([name], view, async () => ...)`, called on every rank, or take what this rank has with `readShard`.',
  },
});

import { defineErrors } from 'mooring';

/** What can go wrong where files go from one rank to the others. */
export const failure = defineErrors({
  SHARED_FILE_SHRANK: {
    fact: 'The file {place} had {bytes} bytes when it was begun to be sent to other hosts, and has {found} now.',
    consequence: 'Their copies would be of no state that it ever had, so nothing ran.',
    remedy: 'Start again once nothing writes to it any more.',
  },
});

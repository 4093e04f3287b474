import { defineErrors } from 'mooring';

export const failure = defineErrors({
  METRICS_UNWRITABLE: {
    fact: '{file} cannot be written: {reason}.',
    consequence: 'The figures of the run would be lost, so it stops; what was written before is whole.',
    remedy: 'Make room, or give another output folder.',
  },
});

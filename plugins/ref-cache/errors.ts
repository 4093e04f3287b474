import { defineErrors } from 'mooring';

export const failure = defineErrors({
  REF_CACHE_NO_DIRECTORY: {
    fact: 'ref-cache has no folder: neither its `directory` nor an `output` of the run is given.',
    consequence: 'The log-probabilities of the reference could not be kept, so the run was not started.',
    remedy: 'Give one of them: the folder may be shared by runs with the same reference and data.',
  },
  REF_CACHE_STALE: {
    fact: 'The cache in {directory} was made for something else: {differences}.',
    consequence: 'Its log-probabilities are not those of this run, so none was used and the run was not started.',
    remedy: 'Give ref-cache another `directory`, or delete this one to compute it anew.',
  },
  REF_CACHE_MANIFEST: {
    fact: '{file} cannot be read as the manifest of a cache: {reason}.',
    consequence: 'Nobody knows what the log-probabilities beside it are of, so none was used.',
    remedy: 'Delete the folder to compute it anew, or give ref-cache another `directory`.',
  },
  REF_CACHE_UNWRITABLE: {
    fact: 'ref-cache cannot write into {directory}: {reason}.',
    consequence: 'The log-probabilities of the reference could not be kept. Those written before are whole.',
    remedy: 'Make room or get permission there, or give another `directory`; the run then continues where it was.',
  },
  REF_CACHE_MISS: {
    fact: 'The pass {pass} has a sequence whose log-probabilities are not in the cache.',
    consequence:
      'The reference was let go after everything that the run would ask for had been computed, so it cannot be asked.',
    remedy:
      'Set `compute` of ref-cache to `as-they-come` where batches are not known before, as with a `batch` tap that changes them from epoch to epoch.',
  },
});

import { defineErrors } from '../errors.ts';

/** Errors of keeping parameters and of writing them. */
export const failure = defineErrors({
  DISK_FULL: {
    fact: 'There is no space left to write {file}.',
    consequence: 'Nothing was half-written: what stood there before is as it was.',
    remedy: 'Free some space, or choose an output folder on another disk.',
  },
  GRADIENT_MISSING: {
    fact: 'There is no gradient of "{parameter}" in this step.',
    consequence: 'It cannot be read.',
    remedy: 'Read only the names that `gradients.names` lists.',
  },
  PARAMETER_DEFINED_TWICE: {
    fact: 'The parameter "{parameter}" is defined twice.',
    consequence: 'It is unclear which shape and values are meant.',
    remedy: 'Define a tied parameter once and name it in both blocks.',
  },
  PARAMETER_FROZEN: {
    fact: 'A gradient arrived for "{parameter}", which is not trained.',
    consequence: 'Computing it was wasted, and it would be lost.',
    remedy: 'Differentiate only by parameters whose `isTrainable` is true, or call `setTrainable` first.',
  },
  PARAMETER_LOADED_TWICE: {
    fact: 'The parameter "{parameter}" already has its values.',
    consequence: 'Loading it again would change a model that is in use.',
    remedy: 'Use `write` to replace values.',
  },
  PARAMETER_NOT_LOADED: {
    fact: 'The parameter "{parameter}" has no values in the view "{view}".',
    consequence: 'It cannot be read.',
    remedy: 'Load it before it is used, and before views are added.',
  },
  PARAMETER_SHAPE: {
    fact: 'The parameter "{parameter}" has shape [{expected}], and got values of shape [{actual}].',
    consequence: 'They were not taken.',
    remedy: 'See that the configuration belongs to these weights.',
  },
  PARAMETER_UNKNOWN: {
    fact: 'There is no parameter "{parameter}".',
    consequence: 'It cannot be used.',
    remedy: 'The nearest name is "{nearest}".',
  },
  STORAGE_OF_TRAINED: {
    fact: 'The parameter "{parameter}" is trained, and bfloat16 storage was asked for.',
    consequence: 'Steps are smaller than what bfloat16 can tell apart, so it would not learn.',
    remedy: 'Freeze it with `setTrainable(name, false)` first, or store it as float32.',
  },
  VIEW_EXISTS: {
    fact: 'There is already a view "{view}" of the parameters.',
    consequence: 'A second one of that name was not added.',
    remedy: 'Choose another name, or remove the first.',
  },
  VIEW_IS_POLICY: {
    fact: 'The view "policy" is what is trained.',
    consequence: 'It cannot be removed.',
    remedy: 'Remove a view that was added, or dispose the whole store.',
  },
  VIEW_UNKNOWN: {
    fact: 'There is no view "{view}" of the parameters.',
    consequence: 'Nothing can be read from it.',
    remedy: 'Add it with `addView` first. There are: {views}.',
  },
  WRITE_FAILED: {
    fact: '{file} cannot be written: {reason}.',
    consequence: 'Nothing was half-written: what stood there before is as it was.',
    remedy: 'Check that the folder exists and may be written to.',
  },
});

import type { Log, Model } from 'mooring';
import type { Sharing } from './collate.ts';
import { failure } from './errors.ts';

/** The option `sharePrompts`. */
export type SharePrompts = 'auto' | boolean;

/** What is asked of a model. */
type Capable = Pick<Model, 'description' | 'sharesPrompts'>;

/**
 * Decides whether chosen and rejected share their prompt: where the model computes rows that fork, and no dropout falls on
 * the prompt. With `auto` it says once why they do not. The result throws PROMPTS_NOT_SHARED where they must.
 */
export function promptSharing(sharePrompts: SharePrompts, log: Log) {
  let isSaid = false;
  return (model: Capable | undefined, { hasDropout }: { readonly hasDropout: boolean }): Sharing => {
    if (sharePrompts === false) return 'never';
    const obstacle = obstacleOf(model, hasDropout);
    if (sharePrompts === true && obstacle !== undefined) throw failure('PROMPTS_NOT_SHARED', obstacle);
    if (sharePrompts === true) return 'always';
    if (obstacle === undefined) return 'fits';
    const { model: name, reason } = obstacle;
    if (!isSaid) log.info(obstacle, `chosen and rejected do not share their prompt in the model ${name}: ${reason}`);
    isSaid = true;
    return 'never';
  };
}

function obstacleOf(model: Capable | undefined, hasDropout: boolean): { model: string; reason: string } | undefined {
  if (model === undefined) return { model: 'of this run', reason: 'there is none' };
  const { description, sharesPrompts = 'it does not say that it computes rows that fork' } = model;
  if (sharesPrompts !== true) return { model: description, reason: sharesPrompts };
  if (hasDropout) return { model: description, reason: 'its dropout would fall on both in the same places' };
  return undefined;
}

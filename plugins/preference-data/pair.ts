import { isDeepStrictEqual } from 'node:util';
import type { ChatMessage } from 'mooring';

/** A preference between two continuations of a prompt, as text. */
export type Pair = PlainPair | ConversationalPair;

export interface PlainPair {
  readonly format: 'plain';
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

export interface ConversationalPair {
  readonly format: 'conversational';
  readonly prompt: readonly ChatMessage[];
  readonly chosen: readonly ChatMessage[];
  readonly rejected: readonly ChatMessage[];
}

/** The two texts that a shared prompt begins. */
interface Completions<Text> {
  readonly chosen: Text;
  readonly rejected: Text;
}

/**
 * The prompt that both texts begin with, and what is left of each, as TRL's `extract_prompt`: a space before the first
 * difference goes to the completions. Texts of which one begins the other keep their last common character.
 */
export function extractPromptText({ chosen, rejected }: Completions<string>): Completions<string> & { prompt: string } {
  // by code point, as Python counts: half an emoji is no prompt
  const first = Array.from(chosen);
  const second = Array.from(rejected);
  const difference = firstDifference(first, second);
  const at = first[difference] !== second[difference] && first[difference - 1] === ' ' ? difference - 1 : difference;
  return {
    prompt: first.slice(0, at).join(''),
    chosen: first.slice(at).join(''),
    rejected: second.slice(at).join(''),
  };
}

/** The same for conversations: whole messages are compared. */
export function extractPromptMessages({
  chosen,
  rejected,
}: Completions<readonly ChatMessage[]>): Completions<readonly ChatMessage[]> & { prompt: readonly ChatMessage[] } {
  const at = firstDifference(chosen, rejected);
  return { prompt: chosen.slice(0, at), chosen: chosen.slice(at), rejected: rejected.slice(at) };
}

/** Without a difference it is the last common place, so that no completion is empty: TRL's loop ends there too. */
function firstDifference(first: readonly unknown[], second: readonly unknown[]): number {
  const shared = Math.min(first.length, second.length);
  for (let at = 0; at < shared; at++) if (!isDeepStrictEqual(first[at], second[at])) return at;
  return Math.max(0, shared - 1);
}

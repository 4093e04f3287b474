import { createRandom } from 'mooring';

/** Draws uniform numbers for one prompt. */
export type Draw = () => number;

/**
 * One source of randomness for each prompt, which depends on seed and prompt, not on the others beside it.
 * The same prompt given again draws other numbers.
 */
export function promptDraws(prompts: readonly (readonly number[])[], seed: number): Draw[] {
  const random = createRandom(seed);
  const seen = new Map<string, number>();
  return prompts.map((prompt) => {
    const key = prompt.join(' ');
    const occurrence = seen.get(key) ?? 0;
    seen.set(key, occurrence + 1);
    return random.stream('generate', key, occurrence).next;
  });
}

/** Draws a token from softmax(scores / temperature); `scores` is a row of logits. */
export function sampleToken(scores: Float32Array, temperature: number, draw: Draw): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const score of scores) if (score > max) max = score;
  // in double precision, so that unlikely tokens still move the sum
  const running = new Float64Array(scores.length);
  let sum = 0;
  for (let token = 0; token < scores.length; token++) {
    sum += Math.exp(((scores[token] as number) - max) / temperature);
    running[token] = sum;
  }
  const target = draw() * sum;
  const token = running.findIndex((each) => each > target);
  return token < 0 ? scores.length - 1 : token;
}

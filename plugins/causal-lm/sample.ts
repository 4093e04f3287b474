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
  const count = scores.length;
  let max = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < count; token++) max = Math.max(max, scores[token] as number);
  // in double precision, so that unlikely tokens still move the sum
  const running = new Float64Array(count);
  let sum = 0;
  for (let token = 0; token < count; token++) {
    sum += Math.exp(((scores[token] as number) - max) / temperature);
    running[token] = sum;
  }
  const target = draw() * sum;
  let token = 0;
  while (token < count - 1 && (running[token] as number) <= target) token++;
  return token;
}

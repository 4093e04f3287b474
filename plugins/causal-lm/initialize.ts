import * as tf from '@tensorflow/tfjs';
import type { ParameterSpec, Random } from 'mooring';
import type { DecoderConfig } from './config.ts';

/** Fresh weights as transformers makes them: norms 1, biases 0, the rest normal with the config's `initializer_range`. */
export async function* freshWeights(
  config: DecoderConfig,
  specs: readonly ParameterSpec[],
  random: Random,
): AsyncGenerator<readonly [name: string, value: tf.Tensor]> {
  for (const { name, shape } of specs) {
    if (shape.length > 1)
      yield [name, tf.tensor(normal(random, name, sizeOf(shape), deviation(config, name)), [...shape])];
    else yield [name, name.endsWith('.bias') ? tf.zeros([...shape]) : tf.ones([...shape])];
  }
}

function deviation({ family, initializerRange, layers }: DecoderConfig, name: string): number {
  const { attentionOutput, down } = family.layerNames;
  const feedsResidual = [attentionOutput, down].some((module) => name.endsWith(`.${module}.weight`));
  return family.shrinksResidualInit && feedsResidual ? initializerRange / Math.sqrt(2 * layers) : initializerRange;
}

/** Normal values by Box and Muller (1958), two from each pair of uniform ones. */
function normal(random: Random, name: string, size: number, scale: number): Float32Array {
  const stream = random.stream('initialize', name);
  const values = new Float32Array(size);
  for (let at = 0; at < size; at += 2) {
    const radius = scale * Math.sqrt(-2 * Math.log(1 - stream.next()));
    const angle = 2 * Math.PI * stream.next();
    values[at] = radius * Math.cos(angle);
    if (at + 1 < size) values[at + 1] = radius * Math.sin(angle);
  }
  return values;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

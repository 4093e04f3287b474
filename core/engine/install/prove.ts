import { createRequire } from 'node:module';
import { join } from 'node:path';
import { failure } from '../errors.ts';
import { applyTensorflowSettings } from '../settings.ts';
import { run } from './run.ts';

/** What a proven engine says of itself. */
export interface Proof {
  readonly tensorflow: string;
  /** Whether it found a GPU to run on. */
  readonly usesGpu: boolean;
}

/** Runs as its own program, since a wrong library may end the process: a product of ones, and d/dx of sum(x x). */
const script = `
const util = require('util');
Object.assign(util, { isNullOrUndefined: (value) => value === null || value === undefined, isArray: Array.isArray });
const [tfjs, build] = process.argv.slice(1);
const tf = globalThis[Symbol.for('mooring/tfjs')] = require(tfjs);
require('module').createRequire(build)('@tensorflow/tfjs-node-gpu');
const product = tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).dataSync();
const gradient = tf.grad((x) => tf.matMul(x, x).sum())(tf.tensor2d([[1, 2], [3, 4]])).dataSync();
if (!product.every((value) => value === 64)) throw new Error('error: the product is ' + product[0] + ', not 64');
if (gradient.join() !== '7,11,9,13') throw new Error('error: the gradient is ' + gradient.join() + ', not 7,11,9,13');
const backend = tf.backend();
console.log(JSON.stringify({ tensorflow: backend.binding.TF_Version, usesGpu: backend.isUsingGpuDevice }));
`;

/** Lets the engine of a build folder compute in a process of its own. Throws `ENGINE_PROOF`. */
export async function prove(build: string): Promise<Proof> {
  const tfjs = createRequire(import.meta.url).resolve('@tensorflow/tfjs');
  const env = { ...process.env, NODE_OPTIONS: '' };
  applyTensorflowSettings(env);
  const finished = await run(process.execPath, ['-e', script, tfjs, join(build, 'package.json')], { env });
  const line = finished.stdout.trim().split('\n').at(-1);
  if (finished.code !== 0 || !line) throw failure('ENGINE_PROOF', { reason: finished.reason });
  return JSON.parse(line) as Proof;
}

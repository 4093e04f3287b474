import type { Tensor } from '@tensorflow/tfjs';
import type { ParameterSpec } from '../model.ts';
import { failure } from './errors.ts';

/** Throws PARAMETER_SHAPE for a value that is not of the parameter's shape. */
export function checkShape({ name, shape }: ParameterSpec, value: Tensor): void {
  const [expected, actual] = [shape.join(', '), value.shape.join(', ')];
  if (expected !== actual) throw failure('PARAMETER_SHAPE', { parameter: name, expected, actual });
}

import type * as tf from '@tensorflow/tfjs';
import { type DifferentiableName, logRatioStatistic, type Outputs, type PassRequest } from 'mooring';
import { directions, type KlPenaltyOptions } from './options.ts';

/** What is added to the loss of the policy's passes, whoever asks for them. */
export interface Penalty {
  /** Under which its mean is logged. */
  readonly metric: string;
  /** The passes, with the outputs that it needs, and a reference's pass where it needs one and there is none. */
  passes(asked: readonly PassRequest[]): PassRequest[];
  /** Of each token of a policy's pass, `[tokens]`: what is trained on and what is logged. */
  values(pass: PassRequest, passes: readonly PassRequest[], outputs: Readonly<Record<string, Outputs>>): tf.Tensor;
}

export function createPenalty(options: KlPenaltyOptions): Penalty {
  return options.estimator === 'exact' ? exact(options) : statistic({ ...options, estimator: options.estimator });
}

/** The core runs the reference's pass itself, for what the outputs are made of. */
function exact({ direction = 'policy-reference' }: KlPenaltyOptions): Penalty {
  const output = directions[direction];
  return {
    metric: `kl/${direction.replace('-', '_')}`,
    passes: (asked) => asked.map((pass) => (pass.of === 'policy' ? learningFrom(pass, output) : pass)),
    values: ({ key }, _, outputs) => outputs[key]?.[output] as tf.Tensor,
  };
}

function statistic({
  estimator,
  gradient = 'value',
}: KlPenaltyOptions & { readonly estimator: 'k1' | 'k2' | 'k3' }): Penalty {
  return {
    metric: `log_ratio/${estimator}`,
    passes(asked) {
      const missing = ofPolicy(asked).filter((pass) => counterpart(pass, asked) === undefined);
      const added = missing.map(
        ({ key, rows }): PassRequest => ({ key: `${key}/kl-penalty`, of: 'reference', rows, outputs: ['logps'] }),
      );
      return [...asked.map((pass) => (pass.of === 'policy' ? learningFrom(pass, 'logps') : pass)), ...added];
    },
    values(pass, passes, outputs) {
      const other = counterpart(pass, passes) as PassRequest;
      const [ours, theirs] = [outputs[pass.key]?.logps, outputs[other.key]?.logps] as [tf.Tensor, tf.Tensor];
      return logRatioStatistic(estimator, ours, theirs, { gradient });
    },
  };
}

/** The passes that are trained. */
export function ofPolicy(passes: readonly PassRequest[]): PassRequest[] {
  return passes.filter(({ of }) => of === 'policy');
}

/** The reference's log-probabilities of the same rows. */
function counterpart({ rows }: PassRequest, passes: readonly PassRequest[]): PassRequest | undefined {
  return passes.find((pass) => pass.of === 'reference' && pass.rows === rows && pass.outputs.includes('logps'));
}

function learningFrom(pass: PassRequest, output: DifferentiableName): PassRequest {
  const { outputs, differentiated = ['logps'] } = pass;
  const more = <Name>(names: readonly Name[], name: Name) => (names.includes(name) ? names : [...names, name]);
  return { ...pass, outputs: more(outputs, output), differentiated: more(differentiated, output) };
}

import * as tf from '@tensorflow/tfjs';
import {
  Driver,
  definePlugin,
  Generator,
  inputTokens,
  type LossInputs,
  type PreferenceBatch,
  packRows,
  Reference,
  Tokenizer,
} from 'mooring';
import { z } from 'zod';

/** What the run looked like before and after, for the table at its end. */
export interface Report {
  readonly before: Look;
  readonly after: Look;
  /** KL(policy || reference) over the policy's own samples, in nats a token: the mean of log(policy / reference). `undefined` without `scoresSamples`. */
  readonly klPerToken: number | undefined;
  readonly referenceBytes: number;
  /** Tokens that went into the policy a second, steps only. */
  readonly tokensPerSecond: number;
  /** Of the fastest step. */
  readonly millisecondsPerStep: number;
}

/** Held-out figures, and what the policy says. */
export interface Look {
  /** Share of held-out pairs whose chosen completion has the higher reward; a tie counts half. */
  readonly accuracy: number;
  readonly margin: number;
  readonly samples: readonly string[];
}

/** Looks at the policy before the first step and after the last, and hands over what it saw. */
export const report = definePlugin({
  name: 'report',
  apiVersion: 1,
  options: z.strictObject({
    prompts: z.array(z.string()),
    newTokens: z.int().positive(),
    seed: z.int(),
    /** Whether the reference can be asked about samples: a cache knows only the data. */
    scoresSamples: z.boolean().default(true),
    done: z.custom<(report: Report) => void>(),
  }),
  uses: { driver: Driver, generator: Generator, tokenizer: Tokenizer, reference: Reference },
  apply({ hooks, options, services }) {
    let before: Look;
    let figures: Readonly<Record<string, number>> = {};
    let [tokens, milliseconds, began] = [0, 0, 0];
    let millisecondsPerStep = Infinity;
    hooks.metrics.tap(({ batch, outputs }) => ({ accuracy_ties_half: accuracy(batch as PreferenceBatch, outputs) }));
    hooks.evaluated.tap((evaluation) => {
      figures = evaluation.figures;
    });
    hooks.trainBegin.tap(async ({ run }) => {
      await run.evaluate();
      before = await look();
    });
    hooks.stepBegin.tap(({ microBatches }) => {
      tokens += inputTokens(microBatches);
      began = performance.now();
    });
    hooks.stepEnd.tap(() => {
      milliseconds += performance.now() - began;
      millisecondsPerStep = Math.min(millisecondsPerStep, performance.now() - began);
    });
    // the core has evaluated after the last step
    hooks.trainEnd.tap(async () => {
      const after = await look();
      const klPerToken = options.scoresSamples ? await ownKl() : undefined;
      const tokensPerSecond = (1000 * tokens) / milliseconds;
      const referenceBytes = services.reference.bytesResident();
      options.done({ before, after, klPerToken, tokensPerSecond, millisecondsPerStep, referenceBytes });
    });

    async function look(): Promise<Look> {
      const ids = await generate(options.prompts.slice(0, 3));
      const samples = ids.map((each) => services.tokenizer.decode(each, { skipSpecialTokens: true }));
      const figure = (name: string) => figures[name] ?? Number.NaN;
      return { accuracy: figure('eval_accuracy_ties_half'), margin: figure('eval_rewards/margins'), samples };
    }

    function generate(prompts: readonly string[]): Promise<number[][]> {
      const { generator, tokenizer } = services;
      const ids = prompts.map((prompt) => tokenizer.encode(prompt));
      return generator.generate(ids, {
        maxNewTokens: options.newTokens,
        temperature: 1,
        seed: options.seed,
        ignoreEos: true,
      });
    }

    async function ownKl(): Promise<number> {
      const { driver, reference, tokenizer } = services;
      const prompts = options.prompts.map((prompt) => tokenizer.encode(prompt));
      const samples = await generate(options.prompts);
      const rows = packRows(
        prompts.map((prompt, index) => ({
          ids: [...prompt, ...(samples[index] ?? [])],
          completionStart: prompt.length,
        })),
      );
      const pass = { rows, gradient: false, outputs: ['logps'] } as const;
      const policy = await driver.forward({ ...pass, key: 'policy', view: 'policy' });
      const frozen = await reference.score({ ...pass, key: 'reference', view: 'reference' });
      const difference = () => tf.mean(tf.sub(policy.logps as tf.Tensor, frozen.logps as tf.Tensor));
      const { kl } = driver.measure(() => ({ kl: { value: difference(), reduce: 'mean' } }));
      tf.dispose([policy, frozen]);
      driver.release();
      return kl?.value ?? Number.NaN;
    }
  },
});

/** Share of pairs in which the chosen reward is higher, ties as one half. */
function accuracy({ pairs, rows }: PreferenceBatch, outputs: LossInputs['outputs']) {
  const ratios = tf.sub(outputs.policy?.logps as tf.Tensor, outputs.reference?.logps as tf.Tensor); // [tokens]
  const rewards = tf.unsortedSegmentSum(ratios, tf.tensor1d(rows.targets.row, 'int32'), rows.sequences); // [2 * pairs]
  const margins = tf.sub(tf.slice(rewards, [0], [pairs]), tf.slice(rewards, [pairs], [pairs]));
  return { value: tf.mean(tf.div(tf.add(tf.sign(margins), 1), 2)), reduce: 'mean', weight: pairs } as const;
}

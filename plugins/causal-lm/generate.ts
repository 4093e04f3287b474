import * as tf from '@tensorflow/tfjs';
import type { Driver, GenerateOptions, Generator, Pass, Tensors } from 'mooring';
import type { Decoder } from './decoder.ts';
import { failure } from './errors.ts';
import { prepareSpan, refuseTooLong } from './prepare.ts';
import { type Draw, promptDraws, sampleToken } from './sample.ts';

/** Prompts that run together; more only take more memory. */
const groupSize = 64;

/**
 * Continues prompts with a key-value cache, greedily or by sampling. What a prompt gets depends on it and the seed alone,
 * not on how many others there are. An end-of-sequence token ends a row and is part of what is returned.
 * `endIds` are the tokens that end a sequence.
 */
export function createGenerator(model: Decoder, driver: Driver, endIds: readonly number[]): Generator {
  return {
    async generate(prompts, options) {
      const empty = prompts.findIndex((prompt) => prompt.length === 0);
      if (empty >= 0) throw failure('MODEL_PROMPT_EMPTY', { index: empty });
      const draws = promptDraws(prompts, options.seed ?? 0);
      const continued: number[][] = [];
      for (let start = 0; start < prompts.length; start += groupSize) {
        const group = prompts.slice(start, start + groupSize);
        const ends = new Set(options.ignoreEos === true ? [] : endIds);
        continued.push(...(await continueGroup(model, driver, group, options, draws.slice(start), ends)));
      }
      return continued;
    },
  };
}

async function continueGroup(
  model: Decoder,
  driver: Driver,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
  draws: readonly Draw[],
  ends: ReadonlySet<number>,
): Promise<number[][]> {
  const width = Math.max(...prompts.map((prompt) => prompt.length));
  refuseTooLong(model.config, width + options.maxNewTokens - 1);
  const cache = new Cache(model, driver, prompts.length, options.view ?? 'policy');
  const continued: number[][] = prompts.map(() => []);
  const isDone = new Array<boolean>(prompts.length).fill(false);
  let fresh: readonly (readonly number[])[] = prompts.map((prompt) => leftPadded(prompt, width, 0));
  let seen: readonly (readonly number[])[] = prompts.map((prompt) =>
    leftPadded(
      prompt.map(() => 1),
      width,
      0,
    ),
  );
  try {
    for (let step = 0; step < options.maxNewTokens && isDone.includes(false); step++) {
      const scores = await cache.run(fresh, seen);
      const chosen = await chooseTokens(scores, options.temperature ?? 0, draws).finally(() => scores.dispose());
      chosen.forEach((token, row) => {
        if (isDone[row]) return;
        continued[row]?.push(token);
        isDone[row] = ends.has(token);
      });
      fresh = chosen.map((token) => [token]);
      seen = seen.map((mask) => [...mask, 1]);
    }
  } finally {
    cache.dispose();
  }
  return continued;
}

/** Keys and values of the tokens that have run, for each layer. */
class Cache {
  private readonly model: Decoder;
  private readonly driver: Driver;
  private readonly batch: number;
  private readonly view: string;
  private readonly past = new Map<string, Tensors>();

  constructor(model: Decoder, driver: Driver, batch: number, view: string) {
    this.model = model;
    this.driver = driver;
    this.batch = batch;
    this.view = view;
  }

  /** Runs the tokens `fresh`, `[batch, time]`, after those already run; returns the last one's logits, `[batch, vocabulary]`. */
  async run(fresh: readonly (readonly number[])[], seen: readonly (readonly number[])[]): Promise<tf.Tensor> {
    const { batch, model } = this;
    const time = (fresh[0] as readonly number[]).length;
    const span = (seen[0] as readonly number[]).length;
    const ids = Int32Array.from(fresh.flat());
    const mask = Int32Array.from(seen.flat());
    const row = Int32Array.from({ length: batch }, (_, at) => at);
    const targets = { source: row.map((at) => (at + 1) * time - 1), label: row.map(() => 0), row, position: row };
    const rows = { batch, time, sequences: batch, ids, mask, targets, firstRow: 0 };
    const pass: Pass = { key: 'generate', rows, view: this.view, gradient: false, outputs: ['scores'] };
    const shared = prepareSpan(model.config, { batch, time, span, ids, mask, targets });
    let carried: Tensors = {};
    try {
      for (const block of model.blocks) {
        const past = block.kind === 'layer' ? this.pastOf(block.name) : {};
        const { key, value, ...outputs } = await this.driver.runBlock(block, pass, { ...shared, ...carried, ...past });
        tf.dispose([...Object.values(carried), ...Object.values(past)]);
        if (key !== undefined && value !== undefined) this.past.set(block.name, { pastKey: key, pastValue: value });
        carried = outputs;
      }
      return carried.scores as tf.Tensor;
    } finally {
      tf.dispose(Object.values(shared));
    }
  }

  dispose(): void {
    for (const past of this.past.values()) tf.dispose(Object.values(past));
  }

  private pastOf(name: string): Tensors {
    const { keyValueHeads, headSize } = this.model.config;
    const empty = () => tf.zeros([this.batch, keyValueHeads, 0, headSize]);
    return this.past.get(name) ?? { pastKey: empty(), pastValue: empty() };
  }
}

async function chooseTokens(scores: tf.Tensor, temperature: number, draws: readonly Draw[]): Promise<number[]> {
  if (temperature === 0) {
    const best = tf.argMax(scores, -1);
    return [...(await best.data().finally(() => best.dispose()))];
  }
  const [batch, vocabulary] = scores.shape as [number, number];
  const values = (await scores.data()) as Float32Array;
  return Array.from({ length: batch }, (_, row) =>
    sampleToken(values.subarray(row * vocabulary, (row + 1) * vocabulary), temperature, draws[row] as Draw),
  );
}

function leftPadded(values: readonly number[], width: number, padding: number): number[] {
  return [...new Array<number>(width - values.length).fill(padding), ...values];
}

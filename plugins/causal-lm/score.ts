import { resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  type CommandContext,
  type CommandPlugin,
  type Driver,
  Driver as DriverToken,
  EvaluationData,
  Model,
  type OutputName,
  openSafetensors,
  type PreferenceBatch,
  type Rows,
  rowsOf,
  sliceRows,
  writeFileAside,
  writeSafetensors,
} from 'mooring';
import { failure } from './errors.ts';

/** Tokens, padding included, that run together: more are not faster and hold more activations. */
const tokensAtOnce = 2048;

/** Logits that are in memory together, 256 MB of them, if a single row has no more. */
const logitsAtOnce = 2 ** 26;

/** What to score with, and where the figures go. */
export interface ScoreOptions {
  readonly model: string;
  readonly output: string;
  /** Plugins that bring an adapter into the model. */
  readonly adapters: readonly CommandPlugin[];
}

/**
 * Scores padded token rows: reads int32 `input_ids` and `attention_mask` `[batch, time]`, writes float32 `token_logps`
 * `[batch, time - 1]`, 0 where either token is padding, and on request `logits` `[batch, time, vocabulary]`, 0 on padding.
 * Throws SCORE_TOKENS_MALFORMED and what the model and the files throw.
 */
export async function scoreTokens(
  {
    model,
    output,
    tokens,
    logits = false,
    adapters,
  }: ScoreOptions & { readonly tokens: string; readonly logits?: boolean | undefined },
  context: CommandContext,
): Promise<void> {
  const { batch, time, ids, mask } = await readTokens(tokens);
  const config = { model: resolve(model) };
  const take = { plugins: ['causal-lm', ...adapters], uses: { driver: DriverToken, decoder: Model } };
  await context.withServices(config, take, async ({ driver, decoder }) => {
    const vocabulary = decoder.vocabularySize;
    const rows = rowsOf({ batch, time, ids, mask });
    async function* logps() {
      for (const { part } of parts(rows, tokensAtOnce)) yield tokenLogps(part, await run(driver, part, 'logps'));
    }
    async function* allLogits() {
      const positionsAtOnce = Math.min(tokensAtOnce, logitsAtOnce / vocabulary);
      for (const { part } of parts(everyPosition(rows), positionsAtOnce))
        yield spread(part, await run(driver, part, 'scores'), vocabulary);
    }
    const specs = [{ name: 'token_logps', dtype: 'float32', shape: [batch, time - 1] } as const];
    const more = logits ? [{ name: 'logits', dtype: 'float32', shape: [batch, time, vocabulary] } as const] : [];
    await writeSafetensors(output, [...specs, ...more], (name) => (name === 'logits' ? allLogits() : logps()));
  });
}

/** Scores the completions of preference pairs: one JSON object a row, `chosen` and `rejected` with `tokens`, `logp`, `token_logps`. */
export async function scorePairs(
  { model, output, data, adapters }: ScoreOptions & { readonly data: string },
  context: CommandContext,
): Promise<void> {
  const config = {
    model: resolve(model),
    evalData: resolve(data),
    train: { batchSize: 4, maxLength: null },
  };
  const take = {
    plugins: ['causal-lm', 'tokenizer', 'preference-data', ...adapters],
    uses: { driver: DriverToken, pairs: EvaluationData },
  };
  await context.withServices(config, take, async ({ driver, pairs }) => {
    if (pairs === undefined) return;
    await writeFileAside(output, async (handle) => {
      const batches = pairs.open(0);
      for (let index = 0; index < pairs.batchesPerEpoch; index++) {
        const { value } = await batches.next();
        const batch = value as PreferenceBatch;
        const logps = new Float32Array(batch.counts.token);
        for (const { part, members } of parts(batch.rows, tokensAtOnce)) {
          const values = await run(driver, part, 'logps');
          members.forEach((token, at) => {
            logps[token] = values[at] as number;
          });
        }
        const scored = completions(batch.rows, logps);
        for (let pair = 0; pair < batch.pairs; pair++) {
          const line = { chosen: scored[pair], rejected: scored[pair + batch.pairs] };
          await handle.writeFile(`${JSON.stringify(line)}\n`);
        }
      }
      await batches.return?.();
    });
  });
}

async function readTokens(file: string) {
  const source = await openSafetensors(file);
  try {
    const [ids, mask] = ['input_ids', 'attention_mask'].map((name) => source.entries.get(name));
    const [batch = 0, time = 0] = ids?.shape ?? [];
    const isRight = ids?.shape.length === 2 && mask?.shape.join() === ids.shape.join() && batch > 0 && time > 1;
    const values = isRight ? [await source.readTensor('input_ids'), await source.readTensor('attention_mask')] : [];
    const [idValues, maskValues] = values;
    if (!(idValues instanceof Int32Array) || !(maskValues instanceof Int32Array)) {
      const found = `input_ids ${ids?.dtype ?? 'absent'} [${ids?.shape ?? ''}], attention_mask ${mask?.dtype ?? 'absent'} [${mask?.shape ?? ''}]`;
      throw failure('SCORE_TOKENS_MALFORMED', { file, found });
    }
    const stray = maskValues.find((value) => value !== 0 && value !== 1);
    if (stray !== undefined)
      throw failure('SCORE_TOKENS_MALFORMED', { file, found: `attention_mask values such as ${stray}` });
    return { batch, time, ids: idValues, mask: maskValues };
  } finally {
    await source.close();
  }
}

async function run(driver: Driver, rows: Rows, output: OutputName): Promise<Float32Array> {
  const pass = { key: 'score', rows, view: 'policy', gradient: false, outputs: [output] } as const;
  const outputs = await driver.forward(pass);
  const values = await (outputs[output] as tf.Tensor).data<'float32'>();
  tf.dispose(outputs);
  driver.release();
  return values;
}

/** The same rows, as many at a time as have `tokens` tokens, and at least one. */
function* parts(rows: Rows, tokens: number): Generator<ReturnType<typeof sliceRows>> {
  const size = Math.max(1, Math.floor(tokens / rows.time));
  for (let first = 0; first < rows.batch; first += size)
    yield sliceRows(rows, first, Math.min(rows.batch, first + size));
}

/** From `[targets]` to `[batch, time - 1]`. */
function tokenLogps({ batch, time, targets }: Rows, logps: Float32Array): Float32Array {
  const all = new Float32Array(batch * (time - 1));
  targets.source.forEach((at, index) => {
    all[at - Math.floor(at / time)] = logps[index] as number;
  });
  return all;
}

/** The same rows with every real position a target, so that the head gives its logits. */
function everyPosition(rows: Rows): Rows {
  const source = Int32Array.from(rows.mask.keys()).filter((at) => rows.mask[at] === 1);
  const zeros = new Int32Array(source.length);
  const row = source.map((at) => Math.floor(at / rows.time));
  return { ...rows, targets: { source, label: zeros, row, position: zeros } };
}

/** From `[positions, vocabulary]` to `[batch, time, vocabulary]`. */
function spread({ batch, time, targets }: Rows, scores: Float32Array, vocabulary: number): Float32Array {
  const all = new Float32Array(batch * time * vocabulary);
  targets.source.forEach((at, index) => {
    all.set(scores.subarray(index * vocabulary, (index + 1) * vocabulary), at * vocabulary);
  });
  return all;
}

function completions({ sequences, targets }: Rows, logps: Float32Array) {
  return Array.from({ length: sequences }, (_, row) => {
    const members = Array.from(targets.row.keys()).filter((index) => targets.row[index] === row);
    const tokenLogps = members.map((index) => logps[index] as number);
    return {
      tokens: members.map((index) => targets.label[index] as number),
      logp: tokenLogps.reduce((sum, each) => sum + each, 0),
      token_logps: tokenLogps,
    };
  });
}

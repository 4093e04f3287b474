import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { DataSource, Log, PreferenceBatch, Random, Tokenizer } from 'mooring';
import { collate, type Sharing, type Truncation } from './collate.ts';
import { failure } from './errors.ts';
import { indexPairs, type PairIndex, versionOf } from './pair-index.ts';
import { PairParser } from './parse.ts';
import { permutation } from './permutation.ts';
import { readAhead } from './read-ahead.ts';
import { promptFills, type TokenizedPair, tokenizePair } from './tokenize.ts';

/** What a source of preference batches is made of. */
export interface PreferenceDataOptions extends Truncation {
  readonly file: string;
  readonly tokenizer: Tokenizer;
  readonly batchSize: number;
  /** Whether chosen and rejected share a row (default `never`). It changes no figure, so it is no part of the fingerprint. */
  readonly sharing?: Sharing;
  /** Shuffles each epoch; without it pairs come in file order. */
  readonly random?: Random | undefined;
  /** Tells orders apart in the fingerprint; the seed behind `random`. */
  readonly seed?: number | undefined;
  readonly log: Log;
}

/** A data source whose batches are preference pairs. */
export interface PreferenceSource extends DataSource {
  /** Pairs in an epoch, after those without room for a completion were dropped. */
  readonly pairs: number;
  open(position: number): AsyncIterableIterator<PreferenceBatch>;
}

const batchesAhead = 2;

/**
 * Opens a JSONL file of preference pairs: every row is checked once, then batches are read where they are needed.
 * The last batch of an epoch may be short. In `keep_start`, pairs whose prompt alone fills `maxLength` are dropped, as
 * TRL does. Throws what `indexPairs` throws and PAIRS_ALL_TRUNCATED.
 */
export async function openPreferenceData(options: PreferenceDataOptions): Promise<PreferenceSource> {
  const { file, tokenizer, maxLength, truncationMode, log } = options;
  const mayFill = maxLength !== null && truncationMode === 'keep_start';
  const index = await indexPairs(file, (pair) => !(mayFill && promptFills(maxLength, pair, tokenizer)));
  // A single token is never scored, for nothing predicts it.
  if (maxLength !== null && (index.count === 0 || maxLength < 2))
    throw failure('PAIRS_ALL_TRUNCATED', { file, pairs: index.count + index.dropped, maxLength });
  if (index.ignoredColumns.length > 0) log.warn({ file, columns: index.ignoredColumns }, 'columns that are not used');
  if (index.dropped > 0)
    log.warn(
      { file, dropped: index.dropped, kept: index.count, maxLength },
      'pairs dropped: the prompt fills maxLength',
    );
  return new PreferenceFile(options, index);
}

class PreferenceFile implements PreferenceSource {
  readonly fingerprint: string;
  readonly identity: Readonly<Record<string, string>>;
  readonly pairs: number;
  readonly batchesPerEpoch: number;
  readonly #options: PreferenceDataOptions;
  readonly #index: PairIndex;
  readonly #parser: PairParser;
  #order: { readonly epoch: number; readonly pairs: Uint32Array } | undefined;
  #isMismatchReported = false;

  constructor(options: PreferenceDataOptions, index: PairIndex) {
    this.#options = options;
    this.#index = index;
    this.#parser = new PairParser(options.file);
    this.pairs = index.count;
    this.batchesPerEpoch = Math.ceil(index.count / options.batchSize);
    this.identity = identityOf(options, index);
    this.fingerprint = fingerprintOf(options, this.identity);
  }

  open(position: number): AsyncIterableIterator<PreferenceBatch> {
    return readAhead(this.#batches(position), batchesAhead);
  }

  async *#batches(position: number): AsyncGenerator<PreferenceBatch> {
    const { file } = this.#options;
    const { size, mtimeMs } = await versionOf(file);
    const { version } = this.#index;
    if (size !== version.size || mtimeMs !== version.mtimeMs) throw failure('DATA_FILE_CHANGED', { file });
    const handle = await open(file);
    try {
      for (let at = position; ; at++) yield await this.#batch(handle, at);
    } finally {
      await handle.close();
    }
  }

  async #batch(handle: FileHandle, position: number): Promise<PreferenceBatch> {
    const { file, batchSize, tokenizer, maxLength, truncationMode } = this.#options;
    const epoch = Math.floor(position / this.batchesPerEpoch);
    const first = (position % this.batchesPerEpoch) * batchSize;
    const members = Array.from(this.#orderOf(epoch).subarray(first, first + batchSize));
    return collate(await Promise.all(members.map((pair) => this.#read(handle, pair))), {
      maxLength,
      truncationMode,
      sharing: this.#options.sharing ?? 'never',
      padId: tokenizer.padId,
      position,
      origin: `${file} lines ${members.map((pair) => this.#index.lines[pair]).join(', ')}`,
      firstRow: 2 * (epoch * this.pairs + first),
    });
  }

  #orderOf(epoch: number): Uint32Array {
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, pairs: permutation(this.pairs, epoch, this.#options.random) };
    return this.#order.pairs;
  }

  async #read(handle: FileHandle, pair: number): Promise<TokenizedPair> {
    const { file, tokenizer, maxLength, truncationMode } = this.#options;
    const line = this.#index.lines[pair] as number;
    const bytes = new Uint8Array(this.#index.lengths[pair] as number);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, this.#index.starts[pair]);
    const parsed = bytesRead === bytes.length ? this.#parser.parse(bytes, line) : undefined;
    if (parsed === undefined) throw failure('DATA_FILE_CHANGED', { file });
    const tokenized = tokenizePair(parsed, tokenizer, { file, line });
    if (truncationMode === 'keep_start' && maxLength !== null && tokenized.prompt.length >= maxLength)
      throw failure('PAIR_TRUNCATED', { file, line, tokens: tokenized.prompt.length, maxLength });
    this.#reportMismatch(tokenized, line);
    return tokenized;
  }

  #reportMismatch({ mismatch }: TokenizedPair, line: number): void {
    if (mismatch === undefined || this.#isMismatchReported) return;
    this.#isMismatchReported = true;
    this.#options.log.warn(
      { file: this.#options.file, line },
      `the tokens of prompt and ${mismatch} together do not begin with those of the prompt alone: the completion's first tokens may be lost or belong to the prompt (said once)`,
    );
  }
}

/** Identity of the file's content and the tokenizer's files, and how sequences are cut. */
function identityOf({ tokenizer, maxLength, truncationMode }: PreferenceDataOptions, index: PairIndex) {
  const hash = createHash('sha256');
  for (const file of tokenizer.files) hash.update(createHash('sha256').update(readFileSync(file)).digest());
  return { data: index.digest, tokenizer: hash.digest('hex'), maxLength: String(maxLength), truncationMode };
}

/** What sequences there are, and what decides their batches and order. */
function fingerprintOf({ batchSize, random, seed }: PreferenceDataOptions, identity: object): string {
  const order = random === undefined ? 'file' : { seed: seed ?? null };
  return createHash('sha256')
    .update(JSON.stringify({ ...identity, batchSize, order }))
    .digest('hex');
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import { trainBytePairEncoding } from './bpe.ts';
import { readCorpus, splitCorpus, textOf } from './corpus.ts';
import { tokenizerFiles } from './tokenizer-files.ts';

// trains the example's tokenizer on the pretraining documents and says how well it fits each set
const folder = new URL('model/', import.meta.url);
const splits = splitCorpus(readCorpus());

const encoding = trainBytePairEncoding(splits.pretraining.map(textOf), {
  vocabularySize: 4096,
  specialTokens: ['<pad>', '</s>'],
});

mkdirSync(folder, { recursive: true });
const files = tokenizerFiles(encoding, { padToken: '<pad>', eosToken: '</s>', maxLength: 512 });
for (const [name, content] of Object.entries(files)) {
  writeFileSync(new URL(name, folder), `${JSON.stringify(content, null, 1)}\n`);
}
console.log(`${encoding.vocabulary.length} tokens, written to ${fileURLToPath(folder)}`);

const read = (name: string): object => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
for (const split of ['pretraining', 'preference', 'heldOut'] as const) {
  const texts = splits[split].map(textOf);
  const bytes = Buffer.byteLength(texts.join(''));
  const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text).ids.length, 0);
  const perToken = (bytes / tokens).toFixed(2);
  console.log(`${split}: ${texts.length} documents, ${bytes} bytes, ${tokens} tokens, ${perToken} bytes per token`);
}

import type { BytePairEncoding } from './bpe.ts';

/** The contents of `tokenizer.json` and `tokenizer_config.json`, as Hugging Face libraries read them. */
export function tokenizerFiles(
  { vocabulary, specialTokens, merges }: BytePairEncoding,
  { padToken, eosToken, maxLength }: { padToken: string; eosToken: string; maxLength: number },
): { 'tokenizer.json': object; 'tokenizer_config.json': object } {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    'tokenizer.json': {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: specialTokens.map((content) => ({
        id: vocabulary.indexOf(content),
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
        merges: merges.map((pair) => pair.join(' ')),
      },
    },
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      pad_token: padToken,
      eos_token: eosToken,
      model_max_length: maxLength,
      clean_up_tokenization_spaces: false,
    },
  };
}

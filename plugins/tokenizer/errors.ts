import { defineErrors } from 'mooring';

export const failure = defineErrors({
  TOKENIZER_MISSING: {
    fact: '{folder} has no tokenizer.json.',
    consequence: 'Text cannot be turned into token ids.',
    remedy:
      "Put the model's tokenizer.json there; from an older format, `AutoTokenizer.from_pretrained(...).save_pretrained(...)` of transformers writes one.",
  },
  TOKENIZER_MALFORMED: {
    fact: '{file} cannot be read: {reason}.',
    consequence: 'Text cannot be turned into token ids.',
    remedy: 'Copy the file again from where the model comes from; it may be cut off or a placeholder of a large file.',
  },
  TOKENIZER_UNSUPPORTED: {
    fact: '{file} asks for something that the tokenizers library cannot do: {reason}.',
    consequence: 'Its tokens would differ from those that the model was trained on.',
    remedy: 'Use a model whose tokenizer is BPE, WordPiece or Unigram in the usual form.',
  },
  SPECIAL_TOKEN_UNKNOWN: {
    fact: '{file} names {token} as {role}, but tokenizer.json has no such token.',
    consequence: 'The token has no id, so that text could not be ended or padded with it.',
    remedy: 'Correct {role}, or add the token to tokenizer.json; the nearest one that it has is {nearest}.',
  },
  CHAT_TEMPLATE_MISSING: {
    fact: '{folder} has no chat template, neither chat_template.jinja nor `chat_template` in tokenizer_config.json.',
    consequence: 'Conversations (lists of messages) cannot be turned into text.',
    remedy: "Add the model's chat_template.jinja, or give prompt, chosen and rejected as plain strings.",
  },
  CHAT_TEMPLATE_MALFORMED: {
    fact: 'The chat template of {folder} is not valid Jinja: {reason}.',
    consequence: 'Conversations cannot be turned into text.',
    remedy: 'Correct the template; the one that came with the model is a good start.',
  },
  CHAT_TEMPLATE_FAILED: {
    fact: 'The chat template of {folder} refuses a conversation with the roles {roles}: {reason}.',
    consequence: 'That conversation cannot be turned into text.',
    remedy: 'Give the roles in the order that the template expects, usually user and assistant in turn.',
  },
  TOKEN_BEYOND_VOCABULARY: {
    fact: 'The tokenizer of {folder} has ids up to {highest}, but the model has embeddings for {vocabulary} tokens only.',
    consequence: 'The token {token} would read past the end of the embedding.',
    remedy: 'Use the tokenizer that belongs to the model, or one without the tokens added later.',
  },
});

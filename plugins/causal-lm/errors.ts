import { defineErrors } from 'mooring';

/** Errors of model folders and of generation. */
export const failure = defineErrors({
  MODEL_ACTIVATION_UNKNOWN: {
    fact: '{file}: the activation "{activation}" is not one that Mooring computes.',
    consequence: 'The model was not loaded.',
    remedy: 'Known are {known}.',
  },
  MODEL_CONFIG_INVALID: {
    fact: '{file}: "{key}" {problem}.',
    consequence: 'The model was not loaded.',
    remedy: 'Compare the file with the one that the model was published with.',
  },
  MODEL_CONFIG_MALFORMED: {
    fact: '{file} is not JSON: {reason}.',
    consequence: 'The model was not loaded.',
    remedy: 'Download the file again.',
  },
  MODEL_CONFIG_MISSING: {
    fact: '{file} cannot be read: {reason}.',
    consequence: 'The model was not loaded.',
    remedy: 'Point "model" at a Hugging Face folder: one with config.json and model.safetensors.',
  },
  MODEL_DROPOUT_FORKED: {
    fact: 'A pass with dropout has rows that fork.',
    consequence: 'The sequences of a row would share the masks of their trunk, so it was not computed.',
    remedy: 'Pack each sequence as a row of its own, or leave "train.disableDropout" at true.',
  },
  MODEL_FAMILY_UNKNOWN: {
    fact: '{file}: the model family "{family}" is not one that Mooring computes.',
    consequence: 'The model was not loaded.',
    remedy: 'Known are {known}.',
  },
  MODEL_PROMPT_EMPTY: {
    fact: 'Prompt {index} has no tokens.',
    consequence: 'Nothing was generated.',
    remedy: "Begin it with the tokenizer's beginning-of-sequence token, or with some text.",
  },
  MODEL_SEQUENCE_TOO_LONG: {
    fact: 'A sequence has {time} tokens, and this model has learned positions for {limit}.',
    consequence: 'The pass was not computed.',
    remedy: 'Set "train.maxLength" to at most {limit}, or generate fewer tokens.',
  },
  MODEL_SETTING_UNSUPPORTED: {
    fact: '{file}: "{key}" is {value}, which Mooring does not compute.',
    consequence: 'The model was not loaded, since its figures would be wrong.',
    remedy: 'Use a model with {supported}.',
  },
  MODEL_TOKEN_OUT_OF_RANGE: {
    fact: "Token {id} is not in the model's vocabulary of {vocabulary}.",
    consequence: 'The pass was not computed.',
    remedy: 'Use the tokenizer that the model was trained with.',
  },
  MODEL_WEIGHT_INTEGER: {
    fact: '{folder}: the weight "{name}" is stored as {dtype}.',
    consequence: 'The model was not loaded.',
    remedy: 'Weights are float32, bfloat16 or float16; quantized models are not computed.',
  },
  MODEL_WEIGHT_MISSHAPEN: {
    fact: '{folder}: the weight "{name}" has shape [{actual}], and config.json makes it [{expected}].',
    consequence: 'The model was not loaded.',
    remedy: 'config.json and weights are of different models: take both from one place.',
  },
  MODEL_WEIGHT_MISSING: {
    fact: '{folder} has no weight "{name}"; the nearest name there is "{nearest}".',
    consequence: 'The model was not loaded.',
    remedy: 'config.json and weights are of different models, or the download is incomplete.',
  },
  MODEL_WEIGHT_UNEXPECTED: {
    fact: '{folder} has a weight "{name}", which the model of config.json does not; its nearest is "{nearest}".',
    consequence: 'The model was not loaded, since its figures would be wrong.',
    remedy: 'config.json and weights are of different models: take both from one place.',
  },
  SCORE_TOKENS_MALFORMED: {
    fact: '{file} holds {found}.',
    consequence: 'Nothing was scored.',
    remedy:
      'Give input_ids and attention_mask, both int32 [batch, time] with time of at least 2, the mask of zeros and ones.',
  },
  SCORE_WHAT: {
    fact: 'Of --data and --tokens {given} was given.',
    consequence: 'Nothing was scored.',
    remedy: 'Give one: --data for preference pairs as text, --tokens for token ids.',
  },
});

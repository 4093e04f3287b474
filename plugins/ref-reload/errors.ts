import { defineErrors } from 'mooring';

/** Errors of a reference that is another folder's model. */
export const failure = defineErrors({
  RELOAD_FORKS: {
    fact: 'The rows fork where completions share a prompt, and the reference in {folder} does not compute such rows.',
    consequence: 'The pass was not computed.',
    remedy: "Set preference-data's `sharePrompts` to false.",
  },
  RELOAD_NOT_ON_DISK: {
    fact: 'The model of {folder} has no weights in files.',
    consequence: 'The run was not started.',
    remedy: 'Use a folder with safetensors files.',
  },
  RELOAD_TOKENIZER_MALFORMED: {
    fact: '{file} is not a tokenizer with a vocabulary: {reason}.',
    consequence: 'Whether policy and reference have the same vocabulary cannot be told, so the run was not started.',
    remedy: 'Download the file again, or remove it: then only the sizes of the vocabularies are compared.',
  },
  RELOAD_TOKENS_DIFFER: {
    fact: 'The token {token} is {ours} in {policy} and {theirs} in {folder}.',
    consequence: 'The same ids would be other text for the reference, so the run was not started.',
    remedy: 'Choose a reference with the tokenizer of the policy.',
  },
  RELOAD_VOCABULARY_SIZE: {
    fact: 'The policy in {policy} has a vocabulary of {ours}, and the reference in {folder} one of {theirs}.',
    consequence: 'Their probabilities are not over the same tokens, so the run was not started.',
    remedy: 'Choose a reference with the vocabulary of the policy, padding of its embedding included.',
  },
});

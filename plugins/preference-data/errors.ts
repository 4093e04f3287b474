import { defineErrors } from 'mooring';

const untrained = 'No pair was trained on.';

export const failure = defineErrors({
  DATA_NOT_GIVEN: {
    fact: 'The run names no `data`.',
    consequence: 'There is nothing to train on.',
    remedy: 'Set `data` in the run file to a JSONL file of preference pairs.',
  },
  EVALUATION_DATA_NOT_GIVEN: {
    fact: 'The run names no `evalData`.',
    consequence: 'There is nothing to evaluate on.',
    remedy: 'Set `evalData` in the run file to a JSONL file of held-out preference pairs.',
  },
  DATA_FILE_MISSING: {
    fact: '{file} does not exist.',
    consequence: untrained,
    remedy: 'Correct the path; in a run file it is relative to the file itself.',
  },
  DATA_FILE_UNREADABLE: {
    fact: '{file} cannot be read: {reason}.',
    consequence: untrained,
    remedy: 'Give a readable JSONL file.',
  },
  DATA_FILE_EMPTY: {
    fact: '{file} holds no rows.',
    consequence: untrained,
    remedy: 'Write one JSON object with prompt, chosen and rejected on each line.',
  },
  DATA_FILE_CHANGED: {
    fact: '{file} was changed while the run was reading it.',
    consequence: 'Where its rows begin is no longer known.',
    remedy: 'Start the run again, and leave the file alone meanwhile.',
  },
  ROW_NOT_UTF8: {
    fact: 'Line {line} of {file} is not valid UTF-8.',
    consequence: untrained,
    remedy: 'Save the file as UTF-8; the line may come from a file in another encoding, or be cut inside a character.',
  },
  ROW_NOT_JSON: {
    fact: 'Line {line} of {file} is not JSON: {reason}.',
    consequence: untrained,
    remedy: 'Write each row as one JSON object on a line of its own.',
  },
  ROW_NOT_OBJECT: {
    fact: 'Line {line} of {file} holds {found}, not an object.',
    consequence: untrained,
    remedy: 'Write each row as one JSON object with prompt, chosen and rejected.',
  },
  COLUMN_MISSING: {
    fact: 'Line {line} of {file} has no `{column}`; its columns are {columns}.',
    consequence: 'It is not a preference pair.',
    remedy: '{advice}',
  },
  PROMPT_MIXED: {
    fact: 'Line {line} of {file} has a `prompt`, while the rows before it leave theirs to be found in the completions.',
    consequence: 'One file has its prompts in one place.',
    remedy: 'Give every row a `prompt`, or none.',
  },
  COLUMN_UNSUPPORTED: {
    fact: 'Line {line} of {file} has `{column}`, which changes what a model reads.',
    consequence: 'Mooring reads text conversations only, and leaving the column out would train on something else.',
    remedy: 'Render its content into the messages, or remove the column if it does not matter.',
  },
  COLUMN_TYPE: {
    fact: '`{column}` on line {line} of {file} is {found}.',
    consequence: 'It cannot be read as {expected}.',
    remedy:
      'Give prompt, chosen and rejected all as strings, or all as lists of messages, each with a role and a content that are strings.',
  },
  TEXT_EMPTY: {
    fact: '`{column}` on line {line} of {file} is empty.',
    consequence: 'A preference between completions needs a prompt and two completions.',
    remedy: 'Fill it in or remove the row.',
  },
  PROMPT_NOT_SHARED: {
    fact: '`chosen` and `rejected` on line {line} of {file} begin differently, and there is no separate prompt for them.',
    consequence: 'Their common beginning would be the prompt.',
    remedy: 'Give the prompt as `prompt` in the same form as the completions, or begin both with it.',
  },
  PROMPTS_NOT_SHARED: {
    fact: '`sharePrompts` is true, and in the model {model} chosen and rejected cannot share their prompt: {reason}.',
    consequence: untrained,
    remedy:
      'Leave `sharePrompts` at auto, which computes the prompt for each; if it is for dropout, leave `train.disableDropout` at true.',
  },
  TOKENS_EMPTY: {
    fact: '`{column}` on line {line} of {file} gives no tokens.',
    consequence: 'There is nothing to score.',
    remedy: 'Look at what the chat template and the tokenizer make of the row, or remove it.',
  },
  END_TOKEN_MISSING: {
    fact: 'The tokenizer names no end-of-sequence token.',
    consequence: 'Plain completions would teach the model never to stop.',
    remedy: 'Name `eos_token` in tokenizer_config.json.',
  },
  PAIRS_ALL_TRUNCATED: {
    fact: 'In {file} the prompts of all {pairs} pairs fill maxLength = {maxLength}.',
    consequence: 'Nothing of their completions would be left after truncation.',
    remedy: 'Raise train.maxLength.',
  },
  PAIR_TRUNCATED: {
    fact: 'The prompt on line {line} of {file} has {tokens} tokens, more than it has bytes, and fills maxLength = {maxLength}.',
    consequence: 'Nothing of its completions would be left after truncation.',
    remedy: 'Raise train.maxLength or remove the row.',
  },
});

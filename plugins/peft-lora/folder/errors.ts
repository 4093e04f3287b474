import { defineErrors } from 'mooring';

/** Errors of PEFT folders: their files, their config, and how they fit a model. */
export const failure = defineErrors({
  ADAPTER_FILE_MISSING: {
    fact: '{file} cannot be read: {reason}.',
    consequence: 'The adapter was not loaded.',
    remedy: 'Give a PEFT folder: one with adapter_config.json and adapter_model.safetensors.',
  },
  ADAPTER_CONFIG_MALFORMED: {
    fact: '{file} is not a JSON object: {reason}.',
    consequence: 'The adapter was not loaded.',
    remedy: 'Download the file again, or save the adapter again.',
  },
  ADAPTER_CONFIG_INVALID: {
    fact: '{file}: "{key}" {problem}.',
    consequence: 'The adapter was not loaded.',
    remedy: 'Compare the file with the one that PEFT saved.',
  },
  ADAPTER_FEATURE_UNSUPPORTED: {
    fact: '{file}: "{key}" is {value}, which Mooring does not compute.',
    consequence: 'The adapter was not loaded, since its figures would be wrong.',
    remedy:
      'Use an adapter without it: LoRA, with DoRA, rank-stabilised scaling, patterns, trained biases and whole modules.',
  },
  ADAPTER_KEY_UNMATCHED: {
    fact: '{file} has a tensor "{key}", which nothing in this model takes; the nearest that it could take are {nearest}.',
    consequence: 'The adapter was not loaded: it would have added less than it holds, in silence.',
    remedy: 'Use the base that it was trained on ({base}), or mend "target_modules" and "modules_to_save".',
  },
  ADAPTER_KEY_MISSING: {
    fact: '{file} has no tensor "{key}", which its config asks for; the nearest that it has are {nearest}.',
    consequence: 'The adapter was not loaded.',
    remedy: 'Take adapter_config.json and adapter_model.safetensors from one place.',
  },
  ADAPTER_TENSOR_MISSHAPEN: {
    fact: '{file}: the tensor "{key}" has shape [{actual}], and config and model make it [{expected}].',
    consequence: 'The adapter was not loaded.',
    remedy: 'Use the base that it was trained on, and the adapter_config.json that was saved with it.',
  },
  ADAPTER_TENSOR_INTEGER: {
    fact: '{file}: the tensor "{key}" is stored as integers.',
    consequence: 'The adapter was not loaded.',
    remedy: 'Adapters are float32, bfloat16 or float16; quantized ones are not computed.',
  },
  ADAPTER_TARGET_UNMATCHED: {
    fact: '"{key}": {target} matches no module of this model; the nearest names are {nearest}.',
    consequence: 'No adapter was made.',
    remedy: 'Correct the name; a list holds names or their ends, a text is a regular expression for whole names.',
  },
  ADAPTER_PATTERN_INVALID: {
    fact: '"{key}": {pattern} is not a regular expression: {reason}.',
    consequence: 'No adapter was made.',
    remedy: 'Correct it, or name the modules in a list.',
  },
  ADAPTER_EMBEDDING_UNSUPPORTED: {
    fact: 'DoRA is asked for on the embedding "{module}".',
    consequence: 'No adapter was made: its figures would be wrong.',
    remedy: 'Leave the embedding out of the target modules, or use LoRA without DoRA.',
  },
  ADAPTER_BASE_LACKS: {
    fact: '{folder} has no weight {expected}; the nearest names there are {nearest}.',
    consequence: 'Nothing was merged or compared.',
    remedy: 'config.json and weights are of different models, or the download is incomplete.',
  },
  ADAPTER_BASE_INTEGER: {
    fact: '{folder}: the weight "{name}" is stored as integers.',
    consequence: 'Nothing was merged or compared.',
    remedy: 'Use a base in float32, bfloat16 or float16; quantized models are not computed.',
  },
  ADAPTER_BASE_CHANGED: {
    fact: '{folder} was initialised by "{init}", which takes from the base what the adapter starts with.',
    consequence: 'It was not used: with the unchanged base its figures would be wrong.',
    remedy: 'Convert it to plain LoRA where it is saved (in PEFT: path_initial_model_for_weight_conversion).',
  },
  ADAPTER_OUTPUT_TAKEN: {
    fact: '{output} is there already and not an empty folder.',
    consequence: 'Nothing was merged.',
    remedy: 'Give a new folder by --output, or remove that one first.',
  },
  ADAPTERS_INCOMPARABLE: {
    fact: 'Of "{key}" the first adapter has the shape [{first}], and the second [{second}].',
    consequence: 'They were not compared: they are of different bases.',
    remedy: 'Give two adapters of one base.',
  },
  ADAPTER_CONVERSION_REFUSED: {
    fact: 'This adapter cannot become plain LoRA: {reason}.',
    consequence: 'Nothing was converted.',
    remedy: 'Save it as it is, beside the initial adapter that its base was changed by.',
  },
});

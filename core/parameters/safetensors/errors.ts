import { defineErrors } from '../../errors.ts';

/** Errors of reading safetensors files and folders of them. */
export const failure = defineErrors({
  SAFETENSORS_BYTES_UNNAMED: {
    fact: '{file}: bytes {begin} to {end} of the data belong to no tensor.',
    consequence: 'The file was not written by a safetensors library, or a tensor is missing from its header.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_CHANGED: {
    fact: '{file} {change}.',
    consequence: 'What is read from it now would not fit what was read before.',
    remedy: 'Leave the files of a model alone while a run reads them, and start again.',
  },
  SAFETENSORS_DTYPE_UNSUPPORTED: {
    fact: '{file}: tensor "{tensor}" has the data type {dtype}.',
    consequence: 'Mooring reads F32, BF16, F16, I32 and I64.',
    remedy: 'Convert the tensor to one of these and save the file again.',
  },
  SAFETENSORS_ENTRY_MALFORMED: {
    fact: '{file}: the header entry of tensor "{tensor}" is wrong: {reason}.',
    consequence: 'No tensor of the file was read.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_HEADER_MALFORMED: {
    fact: '{file}: the header is not what safetensors prescribes: {reason}.',
    consequence: 'No tensor of the file was read.',
    remedy: 'See that it is a safetensors file, then write or download it again.',
  },
  SAFETENSORS_HEADER_TOO_LARGE: {
    fact: '{file} claims a header of {bytes} bytes, above the limit of {limit}.',
    consequence: 'No tensor of the file was read.',
    remedy: 'See that it is a safetensors file: other formats begin with other bytes.',
  },
  SAFETENSORS_INTEGER_TOO_LARGE: {
    fact: '{file}: tensor "{tensor}" holds {value}, beyond 32 bits.',
    consequence: 'Mooring keeps integers as int32, so it was not read.',
    remedy: 'Save the tensor with smaller values or as F32.',
  },
  SAFETENSORS_NAME_DUPLICATE: {
    fact: '{file}: the header names tensor "{tensor}" twice.',
    consequence: 'It is unclear which one is meant, so no tensor of the file was read.',
    remedy: 'Write the file again with one tensor for each name.',
  },
  SAFETENSORS_RANGES_OVERLAP: {
    fact: '{file}: tensors "{other}" and "{tensor}" claim the same bytes.',
    consequence: 'At least one of them is wrong, so no tensor of the file was read.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_RANGE_OUTSIDE: {
    fact: '{file}: tensor "{tensor}" claims bytes {begin} to {end} of {size} bytes of data.',
    consequence: 'The file was cut off, or its header is wrong: no tensor of it was read.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_SIZE_MISMATCH: {
    fact: '{file}: tensor "{tensor}" of type {dtype} and shape [{shape}] claims {bytes} bytes.',
    consequence: 'Shape and bytes do not fit together, so no tensor of the file was read.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_TENSOR_MISSING: {
    fact: '{file} has no tensor "{tensor}".',
    consequence: 'It cannot be read.',
    remedy: 'The nearest name there is "{nearest}".',
  },
  SAFETENSORS_RANGE: {
    fact: '{file}: elements up to {end} of the tensor "{tensor}" were asked for, which has {total}.',
    consequence: 'Nothing was read.',
    remedy: 'Ask for a range of the shape that the file gives: `entries` has it.',
  },
  SAFETENSORS_TRUNCATED: {
    fact: '{file} ends after {size} bytes, where {needed} were to be read.',
    consequence: 'The file was cut off, as by a broken download.',
    remedy: 'Write or download the file again.',
  },
  SAFETENSORS_UNREADABLE: {
    fact: '{file} cannot be read: {reason}.',
    consequence: 'No weights were read from it.',
    remedy: 'Check the path and its permissions.',
  },
  SAFETENSORS_VALUES_MISFIT: {
    fact: '{file}: tensor "{tensor}" was announced as {dtype} [{shape}], and {count} values of {kind} came.',
    consequence: 'The file was not written; what stood there before is as it was.',
    remedy: 'Hand over values that fit the announced type and shape.',
  },
  WEIGHTS_INDEX_MALFORMED: {
    fact: '{file} is not an index of safetensors shards: {reason}.',
    consequence: 'No weights were read.',
    remedy: 'Download the index again, or save the model again.',
  },
  WEIGHTS_MISSING: {
    fact: '{folder} holds neither model.safetensors nor model.safetensors.index.json.',
    consequence: 'There are no weights to read.',
    remedy: 'Give the folder of a model saved as safetensors; save_pretrained of transformers writes one.',
  },
  WEIGHTS_SHARD_LACKS: {
    fact: '{file} says that tensor "{tensor}" is in {shard}, which lacks it.',
    consequence: 'The index and the shards do not belong together: no weights were read.',
    remedy: 'Download the index and all shards again from one place.',
  },
  WEIGHTS_SHARD_MISSING: {
    fact: '{file} names the shard {shard}, which is not in the folder.',
    consequence: 'The weights are incomplete: none were read.',
    remedy: 'Download or copy the missing shard.',
  },
});

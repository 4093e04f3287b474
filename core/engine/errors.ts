import { defineErrors } from '../errors.ts';

/** Errors of choosing, loading and installing a tensor engine. */
export const failure = defineErrors({
  ENGINE_UNKNOWN: {
    fact: 'There is no engine "{name}" ({origin}).',
    consequence: 'Nothing was loaded.',
    remedy: 'Use auto, native, wasm or cpu.',
  },
  ENGINE_NOT_INSTALLED: {
    fact: 'The native engine is not installed in {folder}.',
    consequence: 'It cannot be loaded.',
    remedy: 'Run `mooring engine install`, or choose the wasm engine with MOORING_ENGINE=wasm.',
  },
  ENGINE_LOAD_FAILED: {
    fact: 'The native engine in {folder} does not load: {reason}',
    consequence: 'It cannot be used.',
    remedy: 'Run `mooring engine install` to build it again, or choose the wasm engine with MOORING_ENGINE=wasm.',
  },
  ENGINE_BACKEND_FAILED: {
    fact: 'The {name} engine does not start on this machine.',
    consequence: 'No tensor can be computed with it.',
    remedy: 'Choose another engine with MOORING_ENGINE: native, wasm or cpu.',
  },
  ENGINE_PLATFORM: {
    fact: 'No TensorFlow package is published for {platform}.',
    consequence: 'The native engine was not installed.',
    remedy: 'Set MOORING_LIBTENSORFLOW to a folder with libtensorflow and its headers, or go on with the wasm engine.',
  },
  ENGINE_LIBTENSORFLOW: {
    fact: 'MOORING_LIBTENSORFLOW is {folder}, where {missing} is missing.',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: 'Point it at the `tensorflow` folder of a Python package or at an unpacked libtensorflow, or unset it.',
  },
  ENGINE_NO_PIP: {
    fact: '`{python} -m pip` does not run: {reason}',
    consequence: 'TensorFlow was not downloaded; an earlier engine still works.',
    remedy:
      'Install pip for {python}, or set MOORING_LIBTENSORFLOW to a folder with libtensorflow, or use the wasm engine.',
  },
  ENGINE_NO_COMPILER: {
    fact: 'The C++ compiler `{compiler}` does not run: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: 'Install g++ or clang++, or set CXX to a C++17 compiler, or use the wasm engine.',
  },
  ENGINE_CACHE: {
    fact: 'The cache in {folder} cannot be written: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: 'Make room or give permission there, or set MOORING_CACHE to another folder.',
  },
  ENGINE_DOWNLOAD: {
    fact: 'pip could not download {requirement}: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: "Check the network and pip's own configuration (`pip config list`), or set MOORING_LIBTENSORFLOW.",
  },
  ENGINE_HASH: {
    fact: 'The downloaded {file} has SHA-256 {actual}, not {expected}.',
    consequence: 'It was deleted unused; an earlier engine still works.',
    remedy: 'Find out what your package index serves, then run `mooring engine install` again.',
  },
  ENGINE_UNPACK: {
    fact: '{file} could not be unpacked: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: 'See that {folder} is writable and has a gigabyte free, then run `mooring engine install` again.',
  },
  ENGINE_PACKAGE: {
    fact: 'npm could not put {requirement} into the cache: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy:
      "Check the network and npm's own configuration (`npm config list`), then run `mooring engine install` again.",
  },
  ENGINE_COMPILE: {
    fact: '{compiler} could not compile the binding against TensorFlow {version}: {reason}',
    consequence: 'The native engine was not installed; an earlier one still works.',
    remedy: 'Set CXX to a C++17 compiler (g++ 8 or later), or MOORING_LIBTENSORFLOW to another TensorFlow.',
  },
  ENGINE_PROOF: {
    fact: 'The new engine failed its proof, a matrix product and a gradient: {reason}',
    consequence: 'It was deleted; an earlier one still works.',
    remedy: 'Set MOORING_LIBTENSORFLOW to a TensorFlow made for this processor, or use the wasm engine.',
  },
  COMPILE_OPERATION: {
    fact: 'The compiler does not know the TensorFlow operation {operation}.',
    consequence: 'What uses it cannot be compiled.',
    remedy: 'Write it with other operations, or let it run eagerly.',
  },
  COMPILE_FOREIGN_TENSOR: {
    fact: 'An operation {operation} reads a tensor that is no input of what is compiled.',
    consequence: 'Its value would be frozen into the compiled code, so it is not compiled.',
    remedy: 'Make it a parameter of the block, or make it anew from numbers in each call.',
  },
  COMPILE_READS_VALUE: {
    fact: 'A value of a tensor is read while its computation is being recorded.',
    consequence: 'There is none yet, so this cannot be compiled.',
    remedy: 'Compute with tensors only, without data(), dataSync() and the like.',
  },
  COMPILE_FAILED: {
    fact: 'TensorFlow cannot compile it: {reason}',
    consequence: 'It cannot run compiled.',
    remedy: 'Let it run eagerly, with `compile: off` under `train`.',
  },
});

import { TestEnvironment } from 'jest-environment-node';

// tests see a copy of the environment, TensorFlow this one
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';

// the native engine makes its arrays in the outer realm, and tfjs recognises typed arrays by `instanceof`
const shared = [
  Float32Array,
  Float64Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  BigInt64Array,
];

// biome-ignore lint/style/noDefaultExport: jest takes the default export
export default class Environment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const type of shared) this.global[type.name] = type;
  }
}

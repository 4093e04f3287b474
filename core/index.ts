export type { Batch, PreferenceBatch, TextBatch } from './batch.ts';
export {
  type RunInput,
  runSchema,
  type TrainSettings,
  trainSchema,
} from './config.ts';
export * from './errors.ts';
export type {
  Block,
  BlockScope,
  DropoutKey,
  ModuleSpec,
  OutputName,
  Outputs,
  ParameterSpec,
  Pass,
  Tensors,
} from './model.ts';
export * from './rows.ts';
export * from './tokens.ts';

export type { Plan, PlannedHook, PlannedService } from './assembly.ts';
export type { Batch, PreferenceBatch, TextBatch } from './batch.ts';
export { type RunInput, runSchema, type TrainSettings, trainSchema } from './config.ts';
export { createTrainer, type Trainer, type TrainerOptions, type TrainResult } from './create-trainer.ts';
export * from './errors.ts';
export type {
  BlockVisit,
  DefineParameter,
  LedgerEntry,
  ParameterRead,
  Projection,
  Run,
  Step,
  StepRecord,
} from './hook-arguments.ts';
export type { TapOrder } from './hooks/kinds.ts';
export { type HookName, hookNames, hookTable } from './lifecycle.ts';
export { createLog, type LogLevel } from './log.ts';
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
export { definePlugin, optional, type Plugin, type PluginFactory } from './plugin.ts';
export * from './rows.ts';
export * from './tokens.ts';

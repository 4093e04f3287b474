export type { Plan, PlannedHook, PlannedService } from './assembly.ts';
export { type Batch, inputTokens, type PreferenceBatch, type TextBatch } from './batch.ts';
export { checkpointFolder, checkpointSteps, checkpointsFolder } from './checkpoint/find-checkpoint.ts';
export { readPart } from './checkpoint/read-part.ts';
export { alone, type Payload, type Range, type Ranges, type Reduction, rangeOf } from './collectives/collectives.ts';
export { type DirectCollectives, directOf, throughCopies } from './collectives/direct.ts';
export { causeOf, rankFailed } from './collectives/errors.ts';
export { gatherTexts } from './collectives/gather-texts.ts';
export { joined, newLike } from './collectives/payload.ts';
export { reduce } from './collectives/reduce.ts';
export { announced, onFirst, throwOnAll, together } from './collectives/together.ts';
export {
  type Command,
  type CommandArgument,
  type CommandContext,
  type CommandDefinition,
  type CommandFlag,
  type CommandPlugin,
  defineCommand,
} from './command.ts';
export { type RunInput, runSchema, type TrainSettings, trainSchema } from './config.ts';
export {
  createTrainer,
  type Trainer,
  type TrainerOptions,
  type TrainOptions,
  type TrainResult,
} from './create-trainer.ts';
export { noteThreads } from './current-rank.ts';
export { dropoutMask } from './dropout.ts';
export { copyInto } from './engine/copy-into.ts';
export { uncounted } from './engine/memory.ts';
export { divideProcessors } from './engine/settings.ts';
export * from './errors.ts';
export type {
  BlockVisit,
  CheckpointPart,
  ComingPasses,
  DefineParameter,
  LedgerEntry,
  ParameterRead,
  Projection,
  Run,
  Step,
  StepRecord,
} from './hook-arguments.ts';
export type { TapOrder } from './hooks/kinds.ts';
export type { TapFace } from './hooks/registry.ts';
export * from './kl.ts';
export { type HookName, hookNames, hookTable } from './lifecycle.ts';
export { createLog, type LogLevel } from './log.ts';
export * from './log-ratios.ts';
export type {
  Block,
  BlockScope,
  DecoderSizes,
  DifferentiableName,
  DropoutKey,
  ModuleSpec,
  OutputGradients,
  OutputName,
  Outputs,
  ParameterSpec,
  Pass,
  Prediction,
  StoredWeights,
  Tensors,
} from './model.ts';
export * from './pack-branches.ts';
export { packedShape, widen } from './parameters/bfloat16.ts';
export { checkShape } from './parameters/check-shape.ts';
export { Fingerprint, fingerprintOf, mergeFingerprints } from './parameters/fingerprint.ts';
export { isWhole, partOf } from './parameters/part-of.ts';
export { readFully } from './parameters/read-fully.ts';
export { openWeights } from './parameters/safetensors/folder.ts';
export { openSafetensors, type TensorSource } from './parameters/safetensors/reader.ts';
export { type TensorPart, writeSafetensorsTogether } from './parameters/safetensors/write-together.ts';
export { writeSafetensors } from './parameters/safetensors/writer.ts';
export { makeTemporaryFolder, removeTemporaryFolder } from './parameters/temporary-folder.ts';
export { tensorOfPieces } from './parameters/tensor-of-pieces.ts';
export { removeFolder, type Writers, writeFileAside, writeFolderAside } from './parameters/writeAside.ts';
export { type ChosenPlugin, definePlugin, optional, type Plugin, type PluginFactory } from './plugin.ts';
export { createRandom } from './random.ts';
export * from './rows.ts';
export { takeRows } from './take-rows.ts';
export { tokenizerFiles } from './tokenizer-files.ts';
export * from './tokens.ts';

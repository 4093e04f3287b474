/** Where a reference's parameters are. */
export type ReferenceKind = 'clone' | 'reload-memory' | 'reload-disk' | 'adapters-off' | 'adapter-snapshot';

/** How a policy is trained and what it is compared with. */
export interface Mechanism {
  readonly name: string;
  /** What a run file's `plugins` has for it, beside the objective: options by name. */
  readonly plugins: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
  /** Everything, or adapters on a frozen base. */
  readonly trains: 'all' | 'adapters';
  /** Bytes that a number of a frozen base takes; what is trained always takes 4. */
  readonly baseBytes: 2 | 4;
  readonly reference: ReferenceKind | 'cached';
  /** Of a cached one, the reference beneath, which is scored before the first step and then let go. */
  readonly over?: ReferenceKind;
  /** Bytes that a number of the reference takes. */
  readonly referenceBytes: 2 | 4;
  /** What is split among ranks: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 parameters and references too. */
  readonly stage: 0 | 1 | 2 | 3;
  /** What it would refuse whatever the memory, as a sentence. */
  readonly refuses: string;
}

const full = { trains: 'all', baseBytes: 4, referenceBytes: 4, stage: 0 } as const;
const adapter = { ...full, trains: 'adapters' } as const;
const sharded = { ...full, stage: 3 } as const;

const anything = 'Nothing.';
const vocabulary = 'A model with another vocabulary than that of the policy, and sync-ref-model.';
const fixed = 'sync-ref-model, and a loss with the exact KL: it keeps a number for each token.';
const trained =
  'A policy that starts from a trained adapter: switched off, it is the raw base. And sync-ref-model: it has nothing to move.';
const merely = 'A folder that not every rank can read, and sync-ref-model.';

const clone = { 'ref-clone': {} };
const packedClone = { 'ref-clone': { storage: 'bfloat16' } };
const reload = { 'ref-reload': { model: 'DIR' } };
const packedReload = { 'ref-reload': { model: 'DIR', storage: 'bfloat16' } };
const fromDisk = { 'ref-reload': { model: 'DIR', offload: 'disk' } };
const cache = { 'ref-cache': {} };
const shard = { 'zero3-shard': {} };
const lora = (options: Record<string, string>) => ({ 'peft-lora': { targetModules: 'all-linear', ...options } });
const packed = { storage: 'bfloat16' };
const snapshot = { reference: 'adapter-snapshot' };

/** The mechanisms that are compared, each kind in the order in which one takes the next where memory is short. */
export const mechanisms: readonly Mechanism[] = [
  { ...full, name: 'full, clone', plugins: clone, reference: 'clone', refuses: anything },
  {
    ...full,
    name: 'full, clone in bf16',
    plugins: packedClone,
    reference: 'clone',
    referenceBytes: 2,
    refuses: anything,
  },
  { ...full, name: 'full, reload', plugins: reload, reference: 'reload-memory', refuses: vocabulary },
  {
    ...full,
    name: 'full, reload in bf16',
    plugins: packedReload,
    reference: 'reload-memory',
    referenceBytes: 2,
    refuses: vocabulary,
  },
  { ...full, name: 'full, reload from disk', plugins: fromDisk, reference: 'reload-disk', refuses: vocabulary },
  { ...full, name: 'full, cached', plugins: cache, reference: 'cached', over: 'clone', refuses: fixed },
  { ...adapter, name: 'LoRA, adapters off', plugins: lora({}), reference: 'adapters-off', refuses: trained },
  {
    ...adapter,
    name: 'LoRA, adapters off, base in bf16',
    plugins: lora(packed),
    reference: 'adapters-off',
    baseBytes: 2,
    refuses: trained,
  },
  {
    ...adapter,
    name: 'LoRA, adapter snapshot',
    plugins: lora(snapshot),
    reference: 'adapter-snapshot',
    refuses: anything,
  },
  {
    ...adapter,
    name: 'LoRA, adapter snapshot, base in bf16',
    plugins: lora({ ...snapshot, ...packed }),
    reference: 'adapter-snapshot',
    baseBytes: 2,
    refuses: anything,
  },
  {
    ...adapter,
    name: 'LoRA, cached',
    plugins: { ...lora({ reference: 'none' }), ...cache },
    reference: 'cached',
    over: 'clone',
    refuses: fixed,
  },
  { ...sharded, name: 'ZeRO-3, clone', plugins: { ...shard, ...clone }, reference: 'clone', refuses: anything },
  {
    ...sharded,
    name: 'ZeRO-3, clone in bf16',
    plugins: { ...shard, ...packedClone },
    reference: 'clone',
    referenceBytes: 2,
    refuses: anything,
  },
  {
    ...sharded,
    name: 'ZeRO-3, reload from disk',
    plugins: { ...shard, ...fromDisk },
    reference: 'reload-disk',
    refuses: merely,
  },
  {
    ...sharded,
    ...adapter,
    stage: 3,
    name: 'ZeRO-3, LoRA, adapters off, base in bf16',
    plugins: { ...shard, ...lora(packed) },
    reference: 'adapters-off',
    baseBytes: 2,
    refuses: trained,
  },
  {
    ...full,
    stage: 2,
    name: 'ZeRO-2, clone',
    plugins: { 'zero3-shard': { stage: 2 }, ...clone },
    reference: 'clone',
    refuses: anything,
  },
  {
    ...full,
    stage: 1,
    name: 'ZeRO-1, clone',
    plugins: { 'zero3-shard': { stage: 1 }, ...clone },
    reference: 'clone',
    refuses: anything,
  },
];

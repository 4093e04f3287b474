import type { Model, Models, Reference, Run } from 'mooring';
import { formatBytes } from './byte-count.ts';
import { fewestRanks } from './choose.ts';
import { failure } from './errors.ts';
import { type Mechanism, mechanisms } from './mechanisms.ts';
import { type MemoryPrediction, predictMemory, type Setting } from './predict-memory.ts';
import { refusalOf } from './refusal.ts';
import { settingsOfRun } from './run-setting.ts';
import { type Shapes, shapesOf } from './shapes.ts';

/**
 * Refuses a run of which a rank would hold more than `memory` bytes, before any weights are read. Throws
 * ADVISE_OVER_BUDGET and ADVISE_NOT_A_DECODER.
 */
export async function refuseOverBudget(
  memory: number,
  services: {
    readonly run: Run;
    readonly model: Model;
    /** Opens a reloaded reference; without it that is counted as large as the policy. */
    readonly models: Models | undefined;
    readonly reference: Reference | undefined;
    readonly isNative: boolean;
  },
): Promise<MemoryPrediction> {
  const shapes = shapesOf(services.model);
  const { run, reference, models, isNative } = services;
  const steps = (await settingsOfRun(run, reference, models, isNative)).map((setting) => ({
    setting,
    bytes: predictMemory(shapes, setting),
  }));
  const { setting, bytes } = steps.reduce((one, other) => (other.bytes.resident > one.bytes.resident ? other : one));
  if (bytes.resident <= memory) return bytes;
  throw failure('ADVISE_OVER_BUDGET', {
    memory: formatBytes(memory),
    needed: formatBytes(bytes.resident),
    parts: partsOf(bytes),
    fitting: fittingOf(shapes, setting, memory),
  });
}

/** What the bytes of a process are, as a list. */
export function partsOf({ resident, tensors, ...parts }: MemoryPrediction): string {
  const told = Object.entries({ ...parts, 'runtime and compiler': resident - tensors });
  return told
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
    .join(', ');
}

/** Mechanisms that the run can have and that fit, the same training first; of those that are sharded with the fewest ranks that are enough. */
function fittingOf(shapes: Shapes, setting: Setting, memory: number): string {
  const own = setting.mechanism.trains;
  const sorted = [...mechanisms].sort((one, other) => Number(other.trains === own) - Number(one.trains === own));
  const fitting = sorted.flatMap((mechanism) => described(shapes, { ...setting, mechanism }, memory) ?? []);
  return fitting.length === 0 ? 'nothing, on any number of ranks: give fewer pairs or more memory' : fitting.join('; ');
}

function described(
  shapes: Shapes,
  setting: Setting & { readonly mechanism: Mechanism },
  memory: number,
): string | undefined {
  const { mechanism } = setting;
  if (refusalOf(mechanism, shapes, setting) !== undefined) return undefined;
  const residentOn = (ranks: number) => predictMemory(shapes, { ...setting, ranks }).resident;
  const ranks = mechanism.stage === 0 ? 1 : fewestRanks((many) => residentOn(many) <= memory);
  if (ranks === undefined || residentOn(ranks) > memory) return undefined;
  const where = ranks === 1 ? '' : ` on ${ranks} ranks, each`;
  return `"${mechanism.name}"${where} with ${formatBytes(residentOn(ranks))}`;
}

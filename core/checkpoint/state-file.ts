import path from 'node:path';
import { z } from 'zod';
import type { StepRecord } from '../hook-arguments.ts';
import { writeFileAside } from '../parameters/writeAside.ts';
import { failure } from './errors.ts';

/** The file of all that is no tensor. */
export const stateFile = 'state.json';

/** The form of the folders that this release writes. */
export const format = 2;

/** JSON has no word for figures that are not finite, nor for the sign of zero, so they are text. */
const figureSchema = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity', '-0']).transform(Number)]);
const recordSchema = z.record(z.string(), figureSchema);
const fieldsSchema = z.record(z.string(), z.string());

const stateSchema = z.strictObject({
  format: z.number(),
  step: z.int().nonnegative(),
  record: recordSchema.optional(),
  evaluation: recordSchema.optional(),
  /** What the run that resumes must share, by field. */
  identity: fieldsSchema,
  /** What the figures may differ by, in their last digits. */
  mode: fieldsSchema,
  /** Fingerprint of the parameters that are not in the folder, for they were never trained. */
  frozen: z.string(),
  /** Fingerprint of the reference, if it can move. */
  reference: z.string().optional(),
  optimizer: z.unknown(),
  parts: z.record(
    z.string(),
    z.strictObject({ version: z.number(), json: z.unknown(), layout: z.record(z.string(), z.string()).optional() }),
  ),
});

/** What a checkpoint holds beside tensors. */
export type State = z.output<typeof stateSchema>;

/** Writes `state.json`. */
export async function writeStateFile(folder: string, state: State): Promise<void> {
  const text = JSON.stringify(
    { ...state, record: figures(state.record), evaluation: figures(state.evaluation) },
    null,
    2,
  );
  await writeFileAside(path.join(folder, stateFile), (handle) => handle.writeFile(`${text}\n`));
}

/** The state that the text of `state.json` says. Throws CHECKPOINT_DIFFERS for the form of another release, and what zod throws. */
export function parseState(text: string, folder: string): State {
  const json: unknown = JSON.parse(text);
  const { format: was } = z.looseObject({ format: z.number() }).parse(json);
  if (was !== format)
    throw failure('CHECKPOINT_DIFFERS', { folder, differences: `format was ${was} and is ${format}` });
  return stateSchema.parse(json);
}

function figures(record: StepRecord | undefined): Record<string, number | string> | undefined {
  if (record === undefined) return undefined;
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, asJson(value)]));
}

function asJson(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

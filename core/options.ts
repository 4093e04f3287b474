import { distance } from 'fastest-levenshtein';
import { failure } from './failure.ts';

/** A schema of any library that follows the Standard Schema specification (standardschema.dev): zod, valibot, arktype. */
export interface StandardSchema<Input, Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** What is wrong with a value, and where in it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Says where an option stands, for messages: `run.yaml:12, plugins[1].dpo.beta`. */
export type Locate = (path: readonly PropertyKey[]) => string;

/**
 * Checks a value against a schema and returns it with defaults filled in.
 * Throws OPTIONS_INVALID with the place of the first issue and, for an unknown key, the nearest known one.
 */
export function checkOptions<Input, Output>(
  schema: StandardSchema<Input, Output>,
  value: unknown,
  locate: Locate,
): Output {
  const result = schema['~standard'].validate(value ?? {});
  if (result instanceof Promise) {
    throw failure('OPTIONS_INVALID', {
      where: locate([]),
      problem: 'its schema checks asynchronously',
      hint: 'Use a schema without async refinements.',
    });
  }
  if (result.issues === undefined) return result.value;
  const issue = result.issues[0] as SchemaIssue & { keys?: readonly string[] };
  const path = (issue.path ?? []).map((part) => (typeof part === 'object' ? part.key : part));
  const unknown = issue.keys?.[0];
  const known = knownKeys(schema, path);
  if (unknown === undefined || known.length === 0) {
    const hint = 'Correct it; the options are listed in the README of the plugin, those of `train` in the main README.';
    throw failure('OPTIONS_INVALID', { where: locate(path), problem: issue.message, hint });
  }
  throw failure('OPTIONS_INVALID', {
    where: locate([...path, unknown]),
    problem: `unknown key '${unknown}'`,
    hint: `Did you mean '${nearest(unknown, known)}'? Known keys: ${known.join(', ')}.`,
  });
}

/** The candidate that needs the fewest edits to become `name`. */
export function nearest(name: string, candidates: readonly string[]): string {
  return candidates.reduce(
    (best, each) => (distance(each, name) < distance(best, name) ? each : best),
    candidates[0] ?? '',
  );
}

/** Keys of a zod object schema at a path; none for schemas of other libraries. */
function knownKeys(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = schema;
  for (const key of [...path, undefined]) {
    while (isRecord(at) && isRecord(at.def) && isRecord(at.def.innerType)) at = at.def.innerType;
    if (!isRecord(at) || !isRecord(at.shape)) return [];
    if (key === undefined) return Object.keys(at.shape);
    at = at.shape[String(key)];
  }
  return [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

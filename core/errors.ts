/** The parts of a message: what is so, what follows from it, and what to do. `{name}` marks a detail that the thrower supplies. */
export interface ErrorEntry {
  readonly fact: string;
  readonly consequence: string;
  readonly remedy: string;
}

/** Error codes with their texts. Each area of the code, and each plugin, keeps its own table beside the code that throws. */
export type ErrorTable = Readonly<Record<string, ErrorEntry>>;

/** What an error carries beside its message: the plugin, hook and step where it came up, as far as they are known. */
export interface ErrorPlace {
  readonly plugin?: string | undefined;
  readonly hook?: string | undefined;
  readonly step?: number | undefined;
}

/**
 * Every error that Mooring throws on purpose: a code for programs, and for people a fact, its consequence and the remedy.
 * `details` are the values that the message was filled with; `place` says which plugin, hook and step it came from.
 */
export class MooringError extends Error {
  override readonly name = 'MooringError';
  readonly code: string;
  readonly entry: ErrorEntry;
  readonly details: Readonly<Record<string, string | number>>;
  readonly place: ErrorPlace;

  constructor(
    code: string,
    entry: ErrorEntry,
    options: {
      details?: Readonly<Record<string, string | number>>;
      place?: ErrorPlace;
      cause?: unknown;
    } = {},
  ) {
    super(
      `${entry.fact} ${entry.consequence} ${entry.remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.entry = entry;
    this.details = options.details ?? {};
    this.place = options.place ?? {};
  }
}

type Placeholder<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholder<Rest>
  : never;

type Details<Entry extends ErrorEntry> = {
  readonly [Name in Placeholder<Entry['fact'] | Entry['consequence'] | Entry['remedy']>]: string | number;
};

/** Makes the error of a code, its texts filled with `details`. */
export type Failure<Table extends ErrorTable> = <Code extends keyof Table & string>(
  code: Code,
  details: Details<Table[Code]>,
  options?: { cause?: unknown; place?: ErrorPlace },
) => MooringError;

/**
 * Turns a table of error texts into the function that makes its errors.
 * The details that a text names between braces are checked by the compiler.
 *
 *     const failure = defineErrors({ FILE_MISSING: { fact: '{file} does not exist.', ... } } as const);
 *     throw failure('FILE_MISSING', { file });
 */
export function defineErrors<const Table extends ErrorTable>(table: Table): Failure<Table> & { readonly table: Table } {
  const failure: Failure<Table> = (code, details, options = {}) => {
    const entry = table[code] as ErrorEntry;
    const fill = (text: string) => text.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name as never]));
    const filled = {
      fact: fill(entry.fact),
      consequence: fill(entry.consequence),
      remedy: fill(entry.remedy),
    };
    return new MooringError(code, filled, {
      details: details as Record<string, string | number>,
      ...options,
    });
  };
  return Object.assign(failure, { table });
}

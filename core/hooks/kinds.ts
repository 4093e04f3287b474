/** Runs the taps one after another; what they return is ignored. */
export interface Series<Args> {
  readonly kind: 'series';
  readonly args: Args;
  readonly tap: (args: Args) => void | undefined | Promise<void | undefined>;
  readonly call: (args: Args) => Promise<void>;
}

/** Passes a value through the taps; each may return another one. Only `undefined` means unchanged. */
export interface Waterfall<Value, Args> {
  readonly kind: 'waterfall';
  readonly args: Args;
  readonly tap: (value: Value, args: Args) => Value | undefined | Promise<Value | undefined>;
  readonly call: (value: Value, args: Args) => Promise<Value>;
}

/** A waterfall inside code that tfjs records and differentiates: nothing in it may wait. */
export interface SyncWaterfall<Value, Args> {
  readonly kind: 'sync waterfall';
  readonly args: Args;
  readonly tap: (value: Value, args: Args) => Value | undefined;
  readonly call: (value: Value, args: Args) => Value;
}

/** Asks the taps in order; the first answer ends it. */
export interface Bail<Answer, Args> {
  readonly kind: 'bail';
  readonly args: Args;
  readonly tap: (args: Args) => Answer | undefined | Promise<Answer | undefined>;
  readonly call: (args: Args) => Promise<Answer | undefined>;
}

/** Gathers named parts from every tap; a name that two taps give is an error. */
export interface Collect<Part, Args> {
  readonly kind: 'collect';
  readonly args: Args;
  readonly tap: (args: Args) => Parts<Part> | undefined | Promise<Parts<Part> | undefined>;
  readonly call: (args: Args) => Promise<Parts<Part>>;
}

/** A collect inside differentiated code. */
export interface SyncCollect<Part, Args> {
  readonly kind: 'sync collect';
  readonly args: Args;
  readonly tap: (args: Args) => Parts<Part> | undefined;
  readonly call: (args: Args) => Parts<Part>;
}

/** The first of a pair: remembers which plugins began, so that the second runs for exactly those, whatever fails between. */
export interface PairedBefore<Args> {
  readonly kind: 'paired before';
  readonly args: Args;
  readonly tap: (args: Args) => void | undefined | Promise<void | undefined>;
  /** Calls `body` between the two hooks of the pair. */
  readonly call: <Result>(args: Args, body: () => Promise<Result>) => Promise<Result>;
}

/** The second of a pair: runs in reverse order, in `finally`, for every plugin whose first tap began or that has none. */
export interface PairedAfter<Args> {
  readonly kind: 'paired after';
  readonly args: Args;
  readonly tap: (args: Args) => void | undefined | Promise<void | undefined>;
  readonly call: never;
}

/** Runs every tap in reverse order whatever fails, then throws what failed, all of it. */
export interface Settled<Args> {
  readonly kind: 'settled';
  readonly args: Args;
  readonly tap: (args: Args) => void | undefined | Promise<void | undefined>;
  readonly call: (args: Args) => Promise<void>;
}

/** Parts by name. */
export type Parts<Part> = Readonly<Record<string, Part>>;

/** What every kind of hook has. `tap` and `call` are typed by each kind. */
export interface AnyHook {
  readonly kind: string;
  readonly args: unknown;
  readonly tap: unknown;
  readonly call: unknown;
}

/** Where a tap stands among the others of its hook: names of plugins; a name that ends in `?` counts only if present. */
export interface TapOrder {
  readonly before?: string | readonly string[];
  readonly after?: string | readonly string[];
}

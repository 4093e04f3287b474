import type { Command } from './command.ts';
import type { TapFace } from './hooks/registry.ts';
import type { Locate, StandardSchema } from './options.ts';
import type { Log, Token } from './tokens.ts';

/** The version of the plugin API that this release speaks. */
export const apiVersion = 1;

/** Services that a plugin uses, by the names it gives them. */
export type Uses = Readonly<Record<string, Token<unknown> | OptionalToken<unknown>>>;

/** A service that may be absent: then it is `undefined`. */
export interface OptionalToken<Service> {
  readonly optional: Token<Service>;
}

/** Marks a used service as one that may be absent. */
export function optional<Service>(token: Token<Service>): OptionalToken<Service> {
  return { optional: token };
}

/** The services themselves. */
export type Services<Used extends Uses> = {
  readonly [Name in keyof Used]: Used[Name] extends OptionalToken<infer Service>
    ? Service | undefined
    : Used[Name] extends Token<infer Service>
      ? Service
      : never;
};

/** How a service is made: from others, possibly after waiting. */
export interface Provision<Service, Used extends Uses> {
  readonly uses: Used;
  readonly create: (services: Services<Used>) => Service | Promise<Service>;
  /** Name of the plugin whose provider this one takes the place of. */
  readonly replaces?: string;
  /** Whether it steps back where any other plugin provides the service. */
  readonly isFallback?: boolean;
}

/** How a service is wrapped. */
export interface Decoration<Service, Used extends Uses> {
  readonly uses: Used;
  readonly create: (inner: Service, services: Services<Used>) => Service | Promise<Service>;
}

/** What `apply` gets. It only declares: nothing runs and no service exists until the run is frozen. */
export interface PluginContext<Options, Used extends Uses> {
  readonly hooks: TapFace;
  readonly options: Options;
  /** Readable inside hooks and commands; earlier is SERVICE_TOO_EARLY. */
  readonly services: Services<Used>;
  readonly log: Log;
  provide<Service, Needed extends Uses>(token: Token<Service>, provision: Provision<Service, Needed>): void;
  decorate<Service, Needed extends Uses>(token: Token<Service>, decoration: Decoration<Service, Needed>): void;
}

/** What a plugin is, before it has options. */
export interface PluginDefinition<Input, Options, Used extends Uses> {
  readonly name: string;
  readonly apiVersion: number;
  /** Checks the options and fills in defaults; without it the plugin takes none. */
  readonly options?: StandardSchema<Input, Options>;
  readonly uses?: Used;
  /** Plugins that must be there too, where no token says it. */
  readonly requires?: readonly string[];
  /** Plugins that make no sense beside it, each with the reason as a sentence. */
  readonly conflicts?: Readonly<Record<string, string>>;
  /** `first` runs on rank 0 only, and may only watch: RANKS_FIRST_CHANGES. */
  readonly ranks?: 'all' | 'first';
  /**
   * Whether its `readParameter` and `projection` taps may be recorded once and compiled: they are pure functions of the
   * tensors that they get and `read`, made of tfjs operations. Where it is not said, blocks that call them run eagerly.
   */
  readonly capturable?: boolean;
  /** Whether the same is trained with it and without, figures equal but for last digits: a run may resume without it. */
  readonly preservesTraining?: boolean;
  /** Folders that it reads, from its options, as written there: `config.folders` says where each is; ranks compare them. */
  folders?(options: Options): readonly string[];
  /** Commands that it adds to the command line. */
  readonly commands?: readonly Command[];
  readonly apply: (context: PluginContext<Options, Used>) => void;
}

/** A plugin with its options, ready for `use()`: a plain object. */
export interface Plugin {
  readonly definition: Omit<PluginDefinition<unknown, unknown, Uses>, 'apply'>;
  readonly options: unknown;
  /** Says where its options were written, for messages. */
  readonly locate?: Locate;
  /** True for the ones that a trainer brings along. */
  readonly isDefault?: boolean;
  readonly apply: (context: PluginContext<unknown, Uses>) => void;
}

/** A plugin of a run, with its options as they were checked. */
export type ChosenPlugin = Pick<Plugin, 'definition' | 'options'>;

/** Makes plugins of one definition: `refClone()`, `dpo({ beta: 0.2 })`. */
export interface PluginFactory<Input> {
  (
    ...options: undefined extends Input
      ? [options?: Input]
      : Partial<Input> extends Input
        ? [options?: Input]
        : [options: Input]
  ): Plugin;
  readonly definition: Plugin['definition'];
}

/**
 * Defines a plugin. The result is called with options and handed to `use()`.
 *
 *     export const lossWatch = definePlugin({
 *       name: 'loss-watch',
 *       apiVersion: 1,
 *       options: z.strictObject({ above: z.number().positive() }),
 *       apply({ hooks, options, log }) {
 *         hooks.stepEnd.tap(({ step, record }) => {
 *           if ((record.loss ?? 0) > options.above) log.warn({ step: step.index }, 'loss above the limit');
 *         });
 *       },
 *     });
 */
export function definePlugin<Input = undefined, Options = Input, const Used extends Uses = Record<never, never>>(
  definition: PluginDefinition<Input, Options, Used>,
): PluginFactory<Input> {
  const factory = (options?: Input): Plugin => ({
    definition: definition as Plugin['definition'],
    options,
    apply: (context) => definition.apply(context as PluginContext<Options, Used>),
  });
  return Object.assign(factory, { definition: definition as Plugin['definition'] });
}

import type { RunInput } from './config.ts';
import { failure } from './failure.ts';
import type { StandardSchema } from './options.ts';
import type { Services, Uses } from './plugin.ts';
import type { Log } from './tokens.ts';

/** An option of a command, as the command line shows it. */
export interface CommandFlag {
  /** `--model <folder>`; without a value in brackets it is true or absent. */
  readonly flags: string;
  readonly description: string;
  readonly isRequired?: boolean;
}

/** What a command takes without a flag, in its place: `<folder>`. All are required. */
export interface CommandArgument {
  readonly name: string;
  readonly description: string;
}

/** A built-in plugin by name, or `{ name: options }` as in a run file. */
export type CommandPlugin = string | Readonly<Record<string, unknown>>;

/** What a command may use. */
export interface CommandContext {
  readonly log: Log;
  /** Writes a result to standard output. */
  print(text: string): void;
  /**
   * Loads a model by built-in plugins and hands services to `body`. Name no more plugins than it takes: a model may come
   * without a tokenizer, for one. With `isUnloaded` the model has its shapes and no weights, and its hooks do not run.
   */
  withServices<Used extends Uses, Result>(
    config: RunInput,
    take: { readonly plugins: readonly CommandPlugin[]; readonly uses: Used; readonly isUnloaded?: boolean },
    body: (services: Services<Used>) => Promise<Result>,
  ): Promise<Result>;
}

/** A command of the command line. `given` are its arguments, and its flags in camel case, as text or `true`. */
export interface Command {
  /** `score`; or `adapter merge`, one of the commands under `adapter`. */
  readonly name: string;
  readonly description: string;
  readonly arguments?: readonly CommandArgument[] | undefined;
  readonly flags: readonly CommandFlag[];
  run(given: Readonly<Record<string, unknown>>, context: CommandContext): Promise<void>;
}

/** What a command is made of. */
export interface CommandDefinition<Options> extends Omit<Command, 'run'> {
  /** Checks the flags' values, which come as text: `z.coerce.number()`. */
  readonly options: StandardSchema<unknown, Options>;
  readonly run: (options: Options, context: CommandContext) => Promise<void>;
}

/** Defines a command that a plugin adds by `commands: [...]`. Run, it throws COMMAND_OPTION_INVALID for a value that the schema refuses. */
export function defineCommand<Options>(definition: CommandDefinition<Options>): Command {
  const { name, description, arguments: places, flags, options: schema } = definition;
  return {
    name,
    description,
    arguments: places,
    flags,
    async run(given, context) {
      const result = await schema['~standard'].validate(given);
      if (result.issues === undefined) return definition.run(result.value, context);
      const [issue] = result.issues;
      const key = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part))[0];
      const flag = key === undefined ? '' : ` --${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}:`;
      throw failure('COMMAND_OPTION_INVALID', { command: name, flag, problem: issue?.message ?? 'invalid' });
    },
  };
}

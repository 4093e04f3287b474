import { createTrainer } from '../create-trainer.ts';
import { createLog } from '../log.ts';
import { loadOurs } from './load-plugins.ts';
import type { Terminal } from './main.ts';

/** Runs a command of a built-in plugin. */
export async function runPluginCommand(
  plugin: string,
  command: string,
  given: Readonly<Record<string, unknown>>,
  { isDebug, terminal }: { readonly isDebug: boolean; readonly terminal: Terminal },
): Promise<void> {
  const { definition } = await loadOurs(plugin);
  const log = createLog(isDebug ? 'debug' : undefined);
  const found = definition.commands?.find((each) => each.name === command);
  await found?.run(given, {
    log,
    print: (text) => terminal.out(text),
    async withServices(config, { plugins, uses, isUnloaded }, body) {
      const named = plugins.map((each) => (typeof each === 'string' ? ([each, undefined] as const) : entryOf(each)));
      const used = await Promise.all(named.map(async ([name, options]) => (await loadOurs(name))(options)));
      const trainer = createTrainer(config, { log }).use(...used);
      return trainer.withServices(uses, body, { isUnloaded });
    },
  });
}

function entryOf(each: Readonly<Record<string, unknown>>): readonly [name: string, options: unknown] {
  return Object.entries(each)[0] as [string, unknown];
}

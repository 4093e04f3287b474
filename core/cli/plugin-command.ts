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
  const log = createLog(isDebug ? 'debug' : 'info');
  const found = definition.commands?.find((each) => each.name === command);
  await found?.run(given, {
    log,
    print: (text) => terminal.out(text),
    async withServices(config, { plugins, uses }, body) {
      const factories = await Promise.all(plugins.map((name) => loadOurs(name)));
      const trainer = createTrainer(config, { log }).use(...factories.map((factory) => factory(undefined)));
      return trainer.withServices(uses, body);
    },
  });
}

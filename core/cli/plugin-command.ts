import { createTrainer } from '../create-trainer.ts';
import { createLog } from '../log.ts';
import { loadDefaults } from './load-plugins.ts';
import type { Terminal } from './main.ts';
import { readManifest } from './manifest.ts';

/** Runs a command of a built-in plugin, with the default plugins that provide services: there is no run to observe. */
export async function runPluginCommand(
  plugin: string,
  command: string,
  given: Readonly<Record<string, unknown>>,
  { isDebug, terminal }: { readonly isDebug: boolean; readonly terminal: Terminal },
): Promise<void> {
  const manifest = readManifest();
  const providers = manifest.filter((each) => each.isDefault && each.provides.length > 0);
  const owner = manifest.filter((each) => each.name === plugin && !providers.includes(each));
  const plugins = await loadDefaults([...providers, ...owner]);
  const { commands = [] } = plugins.find((each) => each.definition.name === plugin)?.definition ?? {};
  const log = createLog(isDebug ? 'debug' : 'info');
  await commands
    .find((each) => each.name === command)
    ?.run(given, {
      log,
      print: (text) => terminal.out(text),
      withServices: (config, uses, body) =>
        createTrainer(config, { log })
          .use(...plugins)
          .withServices(uses, body),
    });
}

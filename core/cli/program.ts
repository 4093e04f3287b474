import { Command, Option } from 'commander';
import { readVersion } from '../version.ts';
import type { Terminal } from './main.ts';
import { type PluginSummary, readManifest } from './manifest.ts';

/**
 * The commands, by name and options only: what carries one out is loaded when it runs. Commands of plugins come from the
 * manifest.
 */
export function buildProgram(terminal: Terminal, exitWith: (code: number) => void): Command {
  const program = new Command('mooring')
    .description('Tunes language models on preferences.')
    .version(readVersion())
    .option('--debug', 'show details in the log, and where an error comes from')
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
    .exitOverride();
  const isDebug = () => Boolean(program.opts().debug);

  program
    .command('train')
    .description('train as a run file says')
    .argument('<run.yaml>', 'the run file; paths in it are relative to its folder')
    .addOption(settings())
    .option('--output <folder>', "where results go, instead of the run file's `output`; relative to here")
    .option('--resume [folder]', 'go on from the newest checkpoint in the output, or from this one')
    .addHelpText('after', stopping)
    .action(async (file: string, options: { set: string[]; output?: string; resume?: boolean | string }) => {
      const { trainCommand } = await import('./train.ts');
      exitWith(await trainCommand(file, { ...options, isDebug: isDebug(), terminal }));
    });
  addPluginCommands(program, readManifest(), terminal, isDebug);
  program
    .command('explain')
    .description('show what a run would do, hook by hook, before anything is loaded')
    .argument('<run.yaml>', 'the run file')
    .addOption(settings())
    .option('--json', 'for programs')
    .action(async (file: string, options: { set: string[]; json?: boolean }) => {
      const { explainCommand } = await import('./explain.ts');
      await explainCommand(file, { ...options, isDebug: isDebug(), terminal });
    });
  addEngineCommands(program, terminal);
  return program;
}

const stopping = `
Ctrl-C ends the run after the step in progress, saves, says where, and exits with 130; a second one ends it at once.`;

function settings(): Option {
  return new Option('--set <key=value>', 'a value for a key of the run file, such as train.steps=5; repeatable')
    .default([], 'none')
    .argParser((value: string, before: string[]) => [...before, value]);
}

function addPluginCommands(
  program: Command,
  manifest: readonly PluginSummary[],
  terminal: Terminal,
  isDebug: () => boolean,
): void {
  for (const plugin of manifest) {
    for (const { name, description, arguments: places = [], flags } of plugin.commands) {
      const [own = '', group] = name.split(' ').reverse();
      const command = (group === undefined ? program : groupOf(program, group)).command(own).description(description);
      for (const place of places) command.argument(`<${place.name}>`, place.description);
      for (const flag of flags) {
        command.addOption(new Option(flag.flags, flag.description).makeOptionMandatory(flag.isRequired ?? false));
      }
      command.action(async () => {
        const { runPluginCommand } = await import('./plugin-command.ts');
        const placed = Object.fromEntries(places.map((place, index) => [place.name, command.args[index]]));
        await runPluginCommand(plugin.name, name, { ...command.opts(), ...placed }, { isDebug: isDebug(), terminal });
      });
    }
  }
}

/** The command that others stand under: `adapter` of `adapter merge`. */
function groupOf(program: Command, name: string): Command {
  return program.commands.find((each) => each.name() === name) ?? program.command(name).description(`${name} commands`);
}

function addEngineCommands(program: Command, terminal: Terminal): void {
  const engine = program.command('engine').description('the native engine that computes');
  engine
    .command('install')
    .description('put TensorFlow where Mooring finds it, and prove that it works')
    .option('--gpu', 'with CUDA kernels')
    .action(async ({ gpu = false }: { gpu?: boolean }) => {
      const { engineInstallCommand } = await import('./engine.ts');
      await engineInstallCommand(gpu, terminal);
    });
  engine
    .command('status')
    .description('say which engine is installed and whether it runs')
    .action(async () => {
      const { engineStatusCommand } = await import('./engine.ts');
      await engineStatusCommand(terminal);
    });
}

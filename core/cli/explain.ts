import type { Plan, PlannedHook } from '../assembly.ts';
import type { Terminal } from './main.ts';
import { trainerOf } from './trainer-of.ts';

/** Prints what a run would do: plugins, every hook with its taps in order and why, services. Nothing is loaded but the plugins. */
export async function explainCommand(
  file: string,
  options: {
    readonly set: readonly string[];
    readonly json?: boolean;
    readonly isDebug: boolean;
    readonly terminal: Terminal;
  },
): Promise<void> {
  const { trainer } = await trainerOf(file, options);
  const plan = trainer.explain();
  options.terminal.out(options.json ? `${JSON.stringify(plan, null, 2)}\n` : formatPlan(plan));
}

/** A plan for people. */
export function formatPlan({ plugins, hooks, services }: Plan): string {
  const lines = ['Plugins, in order'];
  lines.push(
    ...plugins.map(({ name, isDefault }) => `  ${marked(name, isDefault)}`),
    '',
    'Hooks, in the order of a run',
  );
  for (const hook of hooks) lines.push(`  ${hook.hook.padEnd(width(hooks))}  ${hook.kind}`, ...formatTaps(hook));
  lines.push('', 'Services');
  for (const { service, provider, decorators } of services) {
    lines.push(`  ${[service, `from ${provider}`, ...decorators.map((each) => `wrapped by ${each}`)].join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

function formatTaps({ taps }: PlannedHook): string[] {
  return taps.map(({ plugin, why, isDefault }, index) => `    ${index + 1}. ${marked(plugin, isDefault)}: ${why}`);
}

function marked(name: string, isDefault: boolean): string {
  return isDefault ? `${name} (default)` : name;
}

function width(hooks: readonly PlannedHook[]): number {
  return Math.max(...hooks.map(({ hook }) => hook.length));
}

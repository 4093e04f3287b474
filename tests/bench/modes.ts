import { trainSchema } from 'mooring';

/** How blocks run: `compiled` into executables, or `eager`, one operation after another. */
export type Mode = 'compiled' | 'eager';

// the one place that asks whether this version compiles
const knows = (setting: string) => setting in trainSchema.shape;

/** The modes of this version. */
export const modes: readonly Mode[] = knows('compile') ? ['compiled', 'eager'] : ['eager'];

/** The train settings of a mode; settings that this version does not have are left out. */
export function modeSettings(mode: Mode, recompute?: string): { compile?: 'on' | 'off'; recompute?: 'none' | 'block' } {
  return {
    ...(knows('compile') ? { compile: mode === 'compiled' ? 'on' : 'off' } : {}),
    ...(knows('recompute') && recompute !== undefined ? { recompute: recompute === 'block' ? 'block' : 'none' } : {}),
  };
}

import type { TrainSettings } from 'mooring';

/** How blocks run: `compiled` into executables, or `eager`, one operation after another. */
export const modes = ['compiled', 'eager'] as const;

/** A mode's name. */
export type Mode = (typeof modes)[number];

/** What a compiled step computes again in its backward pass. */
export const recomputes = ['none', 'block'] as const satisfies readonly TrainSettings['recompute'][];

/** The train settings of a mode. */
export function modeSettings(
  mode: Mode,
  recompute: TrainSettings['recompute'] = 'none',
): Pick<TrainSettings, 'compile' | 'recompute'> {
  return { compile: mode === 'compiled' ? 'on' : 'off', recompute };
}

import type { RunInput } from '../config.ts';
import { createTrainer, type Trainer } from '../create-trainer.ts';
import type { Plugin } from '../plugin.ts';
import type { Log } from '../tokens.ts';
import { toy } from './toy.ts';

/** A trainer over the toy run, and what it logged. */
export interface ToyRun {
  readonly trainer: Trainer;
  readonly logged: { readonly level: string; readonly details: object; readonly message: string }[];
}

/** A trainer with the given plugins beside the toy model, data and objective, on the cpu engine. */
export function toyRun(plugins: readonly Plugin[] = [], train: RunInput['train'] = {}, output?: string): ToyRun {
  const logged: ToyRun['logged'] = [];
  const at = (level: string) => (details: object, message: string) => void logged.push({ level, details, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const settings = { engine: 'cpu', steps: 4, learningRate: 0.1, schedule: 'constant', ...train } as const;
  const trainer = createTrainer(
    { model: 'toy', train: settings, ...(output === undefined ? {} : { output }) },
    { log },
  );
  return { trainer: trainer.use(toy(), ...plugins), logged };
}

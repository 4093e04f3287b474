import path from 'node:path';
import { Assembly, nameOf, type Plan } from './assembly.ts';
import { checkpointsFolder, findCheckpoint } from './checkpoint/find-checkpoint.ts';
import { fieldsOf } from './checkpoint/identity.ts';
import { saveState } from './checkpoint/save-state.ts';
import { refuseRepeated } from './collectives/refuse-repeated.ts';
import { announced } from './collectives/together.ts';
import { comingPasses } from './coming-passes.ts';
import { type RunConfig, type RunInput, runSchema } from './config.ts';
import { coreServices } from './defaults.ts';
import { evaluate } from './evaluation.ts';
import { exportRun } from './export.ts';
import { failure } from './failure.ts';
import type { StepRecord } from './hook-arguments.ts';
import { Ledger } from './ledger.ts';
import { loadModel, modelUses } from './load-model.ts';
import { createLog } from './log.ts';
import { checkOptions, type Locate, nearest } from './options.ts';
import { sweep } from './parameters/sweep.ts';
import type { Plugin, Services, Uses } from './plugin.ts';
import { coreUses, countSteps, RunState, type Session } from './session.ts';
import type { Collectives, Log } from './tokens.ts';
import { train } from './trainer.ts';

/** What a finished run says of itself. */
export interface TrainResult {
  readonly steps: number;
  readonly seconds: number;
  /** Why it ended before its last step, if it did. */
  readonly stopReason: string | undefined;
  /** Figures of the last step, and of the last evaluation. */
  readonly record: StepRecord | undefined;
  readonly evaluation: StepRecord | undefined;
  /** Folders that were written. */
  readonly written: readonly string[];
}

/** How a run is begun. */
export interface TrainOptions {
  /** Goes on from a checkpoint: this folder, or with `true` the newest whole one of the output, if there is one. */
  readonly resume?: boolean | string;
}

/** How a trainer talks, and where its configuration was written. */
export interface TrainerOptions {
  readonly log?: Log;
  readonly locate?: Locate;
}

/**
 * Makes a trainer of a configuration; plugins do the rest.
 *
 *     const trainer = createTrainer({ model: 'models/qwen2', data: 'pairs.jsonl', output: 'runs/first' })
 *       .use(...defaults(), dpo({ beta: 0.1 }), refClone());
 *     const { record } = await trainer.train();
 */
export function createTrainer(input: RunInput, options: TrainerOptions = {}): Trainer {
  const locate: Locate = options.locate ?? ((path) => path.map(String).join('.'));
  const config = { ...checkOptions(runSchema, input, locate), folders: {} };
  return new Trainer(config, options.log ?? createLog());
}

/** A run in the making: `use` and `remove` edit a list, `explain` and `train` freeze it. */
export class Trainer {
  private readonly config: RunConfig;
  private readonly log: Log;
  private plugins: Plugin[] = [];
  private isFrozen = false;
  private stopReason: string | undefined;
  private run: RunState | undefined;

  constructor(config: RunConfig, log: Log) {
    this.config = config;
    this.log = log;
  }

  /** Adds plugins, in this order. */
  use(...plugins: readonly Plugin[]): this {
    this.refuseFrozen('use()');
    for (const plugin of plugins) {
      if (typeof plugin !== 'object' || typeof plugin?.apply !== 'function') {
        throw failure('PLUGIN_NOT_A_PLUGIN', { given: typeof plugin === 'function' ? 'a function' : String(plugin) });
      }
      this.plugins.push(plugin);
    }
    return this;
  }

  /** Removes a plugin by name, such as a default one. */
  remove(name: string): this {
    this.refuseFrozen('remove()');
    const names = this.plugins.map(nameOf);
    if (!names.includes(name)) throw failure('PLUGIN_UNKNOWN', { plugin: name, nearest: nearest(name, names) });
    this.plugins = this.plugins.filter((plugin) => nameOf(plugin) !== name);
    return this;
  }

  /** What would run: every hook with its ordered taps and the reason for each place. Nothing is loaded. */
  explain(): Plan {
    return this.assemble().plan();
  }

  /** Ends a run after the step in progress; it still saves. */
  requestStop(reason: string): void {
    this.stopReason = reason;
    this.run?.requestStop(reason);
  }

  /**
   * Trains, and exports into `output` if there is one. Throws CHECKPOINT_TORN and CHECKPOINT_DIFFERS for a checkpoint that
   * cannot be gone on from, and RUN_REPEATED where every rank would train the whole.
   */
  async train({ resume = false }: TrainOptions = {}): Promise<TrainResult> {
    const started = performance.now();
    const assembly = this.assemble(refuseRepeated);
    const result = async (tell: (error: unknown) => void) => {
      const session = await this.open(assembly, resume);
      const written = await this.guarded(session, tell);
      const { step, stopReason, record, evaluation } = session.run;
      const seconds = (performance.now() - started) / 1000;
      return { steps: step, seconds, stopReason, record, evaluation, written };
    };
    return this.opened(assembly, result);
  }

  /**
   * Loads the model and hands services to `body`, without training: for scoring, generating and scripts. With
   * `isUnloaded` no weights are read and no hook runs.
   *
   *     await trainer.withServices({ generator: Generator }, ({ generator }) => generator.generate([[1, 2]], { maxNewTokens: 8 }));
   */
  async withServices<Used extends Uses, Result>(
    uses: Used,
    body: (services: Services<Used>) => Promise<Result>,
    options: { readonly isUnloaded?: boolean | undefined } = {},
  ): Promise<Result> {
    const assembly = this.assemble();
    const result = async () => {
      if (options.isUnloaded) return body(await assembly.open(uses));
      const services = await assembly.open({ ...modelUses, ...uses });
      await loadModel(services, assembly.hooks.call);
      return body(services);
    };
    return this.opened(assembly, result);
  }

  private async guarded(session: Session, tell: (error: unknown) => void): Promise<string[]> {
    const { hooks, run } = session;
    const trained = async () => {
      await train(session);
      return this.config.output === undefined ? [] : exportRun(hooks, run, this.config.output, session.collectives);
    };
    const reported = () =>
      trained().catch(async (error) => {
        tell(error); // at once: taps may take long
        // taps see the failure and cannot put theirs in its place
        await hooks.failure({ error, run }).catch(this.logSecond);
        throw error;
      });
    return this.closing(reported, () => hooks.teardown({ run }));
  }

  /** Runs `body` with services, which are closed after it; where it fails, other ranks are told, once, by then at the latest. */
  private opened<Result>(
    assembly: Assembly,
    body: (tell: (error: unknown) => void) => Promise<Result>,
  ): Promise<Result> {
    let isTold = false;
    const tell = (error: unknown) => {
      if (!isTold) assembly.abort(error);
      isTold = true;
    };
    const heard = () =>
      body(tell).catch((error) => {
        tell(error);
        throw error;
      });
    return this.closing(heard, () => assembly.close());
  }

  /** Runs `body`, then `close` whatever happened; what `close` throws does not take the place of what `body` threw. */
  private async closing<Result>(body: () => Promise<Result>, close: () => unknown): Promise<Result> {
    let result: Result;
    try {
      result = await body();
    } catch (error) {
      await Promise.resolve().then(close).catch(this.logSecond);
      throw error;
    }
    await close();
    return result;
  }

  private readonly logSecond = (error: unknown) => this.log.error({ error }, String(error));

  private assemble(admit?: (collectives: Collectives) => void): Assembly {
    this.isFrozen = true;
    const config: { current: RunConfig } = { current: this.config };
    const assembly: Assembly = new Assembly(
      [coreServices(() => assembly.hooks, config, this.log, admit), ...this.plugins],
      this.log,
    );
    const read = assembly.chosen.flatMap(({ definition, options }) => definition.folders?.(options) ?? []);
    const folders = Object.fromEntries(read.map((folder) => [folder, path.resolve(this.config.folder, folder)]));
    const given = { ...this.config, folders };
    config.current = { ...given, train: assembly.hooks.call.configure(given.train, { config: given }) };
    return assembly;
  }

  /** Sweeps the output and finds the checkpoint to go on from: the first rank does it for all, which may share the disk. */
  private async findBeginning(collectives: Collectives, resume: boolean | string): Promise<string | undefined> {
    const found = await announced(collectives, 'the checkpoint to go on from', async () => {
      await this.sweepOutput();
      return (await findCheckpoint(resume, this.config.output, this.log)) ?? '';
    });
    return found === '' ? undefined : found;
  }

  private async sweepOutput(): Promise<void> {
    const { output } = this.config;
    if (output === undefined) return;
    const swept = [...(await sweep(output)), ...(await sweep(checkpointsFolder(output)))];
    if (swept.length > 0)
      this.log.info({ swept }, `swept ${output}: ${swept.length} leftovers of runs that were killed`);
  }

  private async open(assembly: Assembly, resume: boolean | string): Promise<Session> {
    const services = await assembly.open(coreUses);
    const resumeFrom = await this.findBeginning(services.collectives, resume);
    const { config, clock, engine, data } = services;
    const ledger = new Ledger(
      () => clock.now(),
      () => engine.memory(),
    );
    assembly.hooks.runner.useMeter(ledger);
    const { steps } = countSteps(config, data.batchesPerEpoch);
    const hooks = assembly.hooks.call;
    const run: RunState = new RunState(config, steps, ledger, services.collectives, {
      evaluate: () => evaluate(session),
      passes: () => comingPasses(session),
      fields: () => fieldsOf(session),
      saveState: (folder) => saveState(session, folder),
    });
    const session: Session = {
      ...services,
      hooks,
      runner: assembly.hooks.runner,
      ledger,
      run,
      saveLastGood: () => saveLastGood(session),
      plugins: assembly.chosen,
      resumeFrom,
    };
    this.run = run;
    if (this.stopReason !== undefined) run.requestStop(this.stopReason);
    return session;
  }

  private refuseFrozen(call: string): void {
    if (this.isFrozen) throw failure('RUN_FROZEN', { call, config: '...' });
  }
}

async function saveLastGood({ hooks, run, config, collectives }: Session): Promise<string> {
  if (config.output === undefined) return 'The run has no output folder, so its weights were not saved.';
  try {
    const written = await exportRun(hooks, run, `${config.output}/last-good`, collectives);
    return `The weights of step ${run.step} are saved in ${written.join(', ')}.`;
  } catch (error) {
    return `Saving the weights of step ${run.step} failed as well: ${error instanceof Error ? error.message : error}`;
  }
}

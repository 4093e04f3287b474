import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createRandom, definePlugin, ParameterStore } from 'mooring';
import { toyRun } from 'mooring/testing';
import { findCheckpoint } from '../../../core/checkpoint/find-checkpoint.ts';
import { quiet } from '../../core/support.ts';
import { killedPlugins } from './killed-run.ts';
import { folder } from './support.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const seed = Number(process.env.MOORING_KILL_SEED ?? Date.now() % 1e6);
const random = createRandom(seed).stream('kill');

/** Starting a process takes a second, so that 4 are killed, unless more are asked for; of the others the disk is taken as a kill would leave it. */
const kills = Number(process.env.MOORING_KILLS ?? 4);
const moments = 50 - Math.min(kills, 50);

/** What is on disk at a moment, and the last step whose checkpoint was said to be saved before it. */
interface Image {
  readonly output: string;
  readonly saved: number;
}

test(`50 kills at random moments lose no saved step and leave nothing that resume trusts wrongly (seed ${seed})`, async () => {
  const images: Image[] = [];
  if (process.platform === 'linux') {
    const output = folder();
    const child = train(output);
    for (let at = 0; at < moments; at++) {
      // some step further on, and then any moment of the next one
      await child.reaches(child.saved + 1 + random.integer(3));
      await setTimeout(30 * random.next());
      const saved = child.saved;
      await stop(child.process);
      images.push({ output: copyOf(output), saved });
      child.process.kill('SIGCONT');
    }
    await child.kill();
  }
  const output = folder();
  for (let at = 0; at < kills; at++) {
    const child = train(output);
    await child.reaches(child.saved + 1 + random.integer(5));
    await setTimeout(30 * random.next());
    await child.kill();
    images.push({ output: copyOf(output), saved: child.saved });
  }
  const expected = await digestsOf(folder(), Math.max(...images.map(({ saved }) => saved)) + 9, false);
  const torn = images.filter(({ output }) => leftovers(output).length > 0);
  expect(torn.length).toBeGreaterThan(images.length / 10);
  for (const { output, saved } of images) {
    const newest = await findCheckpoint(true, output, quiet);
    const { step } = JSON.parse(readFileSync(path.join(newest as string, 'state.json'), 'utf8'));
    expect(step).toBeGreaterThanOrEqual(saved);
    const after = await digestsOf(output, step + 2, true);
    expect(after).toEqual({ [step + 1]: expected[step + 1], [step + 2]: expected[step + 2] });
    expect(leftovers(output)).toEqual([]);
  }
});

/** The run of `killed-run.ts` in a process of its own, as far as it has said what it saved. */
function train(output: string) {
  const script = 'tests/plugins/checkpoint/killed-run.ts';
  const child = spawn(process.execPath, ['--import', './core/cli/register.js', script, output], { cwd: root });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ended = once(child, 'exit');
  const self = {
    process: child,
    saved: 0,
    /** Until a step is saved, or the run has ended. */
    async reaches(step: number): Promise<void> {
      while (self.saved < step && child.exitCode === null) await Promise.race([once(lines, 'line'), ended]);
    },
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      child.kill('SIGCONT');
      await ended;
    },
  };
  lines.on('line', (line) => {
    self.saved = Number(line);
  });
  return self;
}

/** Halts a process in every thread, as a kill does: what it has done is on disk, what it was about to do is not. */
async function stop({ pid, exitCode }: ChildProcess): Promise<void> {
  process.kill(pid as number, 'SIGSTOP');
  const isHalted = () =>
    readdirSync(`/proc/${pid}/task`).every((task) =>
      /\) [TZ]/.test(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8')),
    );
  while (exitCode === null && !isHalted()) await setTimeout(1);
}

function copyOf(output: string): string {
  const copy = folder();
  cpSync(output, copy, { recursive: true });
  return copy;
}

function leftovers(output: string): string[] {
  const checkpoints = path.join(output, 'checkpoints');
  return existsSync(checkpoints) ? readdirSync(checkpoints).filter((name) => !/^step-\d+$/.test(name)) : [];
}

/** A digest of policy and reference after each step of the run, from its beginning or from where it was killed. */
async function digestsOf(output: string, until: number, resume: boolean): Promise<Record<number, string>> {
  const digests: Record<number, string> = {};
  const look = definePlugin({
    name: 'look',
    apiVersion: 1,
    preservesTraining: true,
    uses: { store: ParameterStore },
    apply({ hooks, services }) {
      hooks.betweenSteps.tap(async ({ run }) => {
        const views = ['policy', 'reference'].map((view) => services.store.fingerprint(view));
        digests[run.step] = (await Promise.all(views)).join();
      });
    },
  });
  await toyRun([...killedPlugins(1e6), look()], { steps: until }, output).trainer.train({ resume });
  return digests;
}

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { runFile, workplace } from '../../../cli/support.ts';
import { launchCommand, launcher, skipped } from './launch.ts';

const mooring = path.resolve(import.meta.dirname, '../../../../core/cli/mooring.js');
const sharded = `${runFile}  - zero3-shard: { persistenceThreshold: 0 }\n  - checkpoint: { everySteps: 1 }\n`;
/** What a rank does to itself in step 3. */
const fault = (does: string) => `import { Collectives, definePlugin } from 'mooring';
export const fault = definePlugin({ name: 'fault', apiVersion: 1, preservesTraining: true, uses: { ranks: Collectives },
  apply({ hooks, services }) {
    hooks.stepBegin.tap(({ step }) => void (step.index === 3 && services.ranks.rank === 1 && ${does}));
  },
});
`;

describe(`mooring train under ${launcher}`, () => {
  if (launchCommand === undefined) {
    test.skip(skipped, () => undefined);
    return;
  }
  const [command = '', ...options] = launchCommand;
  const place = workplace();
  place.write('sharded.yaml', sharded);
  const launch = async (ranks: number, ...args: string[]) => {
    const words = [...options, '-n', String(ranks), process.execPath, mooring, 'train', ...args];
    const child = spawn(command, words, { cwd: place.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { out, err, code };
  };
  const figures = (output: string) =>
    readFileSync(path.join(place.folder, output, 'metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { step: number; loss: number });

  test('gives the figures of one rank, and says everything once', async () => {
    await place.mooring(['train', 'run.yaml', '--output', 'alone']);
    const { code, out, err } = await launch(2, 'sharded.yaml', '--output', 'together');
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(out).toMatch(/^Trained 3 steps in [\d.]+ s\. Saved together\/model\.\n$/);
    expect(err.match(/step 3\/3/g)).toHaveLength(1);
    const [alone, together] = [figures('alone'), figures('together')];
    expect(together.map(({ step }) => step)).toEqual([1, 2, 3]);
    for (const [index, { loss }] of together.entries()) expect(loss).toBeCloseTo(alone[index]?.loss ?? 0, 5);
  });

  test('ends when a rank is killed, and goes on from what was saved', async () => {
    place.write('fault.ts', fault("process.kill(process.pid, 'SIGKILL')"));
    place.write('killed.yaml', `${sharded}  - ./fault.ts\n`);
    const killed = await launch(2, 'killed.yaml', '--output', 'killed');
    expect(killed.code).not.toBe(0);
    expect(killed.out + killed.err).toMatch(/signal 9|exit code: 9/i);
    expect(existsSync(path.join(place.folder, 'killed/model'))).toBe(false);
    const resumed = await launch(2, 'sharded.yaml', '--output', 'killed', '--resume');
    expect(resumed).toMatchObject({ code: 0 });
    expect(figures('killed').map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  test('a rank that is asked to stop stops all, which save', async () => {
    place.write('fault.ts', fault("process.kill(process.pid, 'SIGTERM')"));
    place.write('stopped.yaml', `${sharded.replace('steps: 3', 'steps: 9')}  - ./fault.ts\n`);
    const { code, err } = await launch(2, 'stopped.yaml', '--output', 'stopped');
    expect({ code, err }).toEqual({ code: 143, err: expect.not.stringContaining('RANK_FAILED') });
    expect(existsSync(path.join(place.folder, 'stopped/checkpoints'))).toBe(true);
  });

  test.each([
    ['without zero3-shard', 'run.yaml', [], 'RUN_REPEATED'],
    ['as threads', 'sharded.yaml', ['--set', 'plugins.zero3-shard.transport=threads'], 'THREADS_IN_PROCESSES'],
  ])('refuses a run %s, which each process would train', async (_, file, settings, error) => {
    const { code, err } = await launch(2, file, ...settings, '--output', 'twice');
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining(error) });
    expect(existsSync(path.join(place.folder, 'twice'))).toBe(false);
  });

  test.each([
    ['that goes on from no checkpoint', ['sharded.yaml', '--resume', 'absent'], 'CHECKPOINT_TORN'],
    ['that is another on each rank', ['named.yaml'], 'RANKS_DIFFER'],
  ])('refuses a run %s on all ranks, and says it once', async (_, args, error) => {
    const rank = 'process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK';
    const named = `definePlugin({ name: 'named-' + (${rank}), apiVersion: 1, apply: () => undefined })`;
    place.write('named.ts', `import { definePlugin } from 'mooring';\nexport const named = ${named};\n`);
    place.write('named.yaml', `${sharded}  - ./named.ts\n`);
    const { code, err } = await launch(2, ...args, '--output', 'refused');
    expect({ code, told: err.match(/^[A-Z_]+: /gm) }).toEqual({ code: 1, told: [`${error}: `] });
  });

  test('refuses a run that is to have another number of ranks', async () => {
    const { code, err } = await launch(2, 'sharded.yaml', '--set', 'plugins.zero3-shard.ranks=3');
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/is to have 3 ranks.*started 2/) });
  });
});

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openEngine } from '../../../core/engine/engine.ts';
import { engineFolder, readInstalled } from '../../../core/engine/install/cache.ts';
import { ensureEngine } from '../../../core/engine/install/ensure.ts';
import { type InstallOptions, installEngine } from '../../../core/engine/install/install.ts';
import { cachedTensorflow } from '../../../core/engine/install/libtensorflow.ts';
import { FakeMachine } from './fakeMachine.ts';

let machine: FakeMachine;
beforeEach(() => {
  machine = new FakeMachine();
});
afterEach(() => machine.remove());

const lines: string[] = [];
const install = (options: InstallOptions = {}) => installEngine({ log: (line) => lines.push(line), ...options });
beforeEach(() => {
  lines.length = 0;
});

describe('takes libtensorflow from the first place that has it', () => {
  const inFolder = () => {
    process.env.MOORING_LIBTENSORFLOW = machine.tensorflow(join(machine.folder, 'own'));
  };
  const inPython = (name: string) => {
    const folder = machine.tensorflow(join(machine.folder, 'site-packages/tensorflow'));
    process.env.PYTHON_PACKAGE = JSON.stringify({ folder, names: [name] });
  };
  const inCache = (gpu: boolean) => machine.tensorflow(cachedTensorflow(gpu));

  test('the folder that MOORING_LIBTENSORFLOW names, without asking Python', async () => {
    inFolder();
    inPython('tensorflow');
    inCache(false);
    expect((await install()).source).toContain(join(machine.folder, 'own'));
    expect(machine.calls('python3', '')).toBe(0);
  });

  test('then a Python package', async () => {
    inPython('tensorflow-cpu');
    inCache(false);
    expect((await install()).source).toContain('site-packages/tensorflow');
    expect(machine.calls('python3', 'pip')).toBe(0);
  });

  test('but for the GPU no package that has no kernels for it', async () => {
    inPython('tensorflow-cpu');
    inCache(true);
    expect(await install({ gpu: true })).toMatchObject({ gpu: true, source: expect.stringContaining('wheel') });
  });

  test('then the cache', async () => {
    inCache(false);
    expect((await install()).source).toContain('wheel');
    expect(machine.calls('python3', 'pip')).toBe(0);
  });

  test('then pip, for this platform and a Python that has wheels', async () => {
    await expect(install()).rejects.toMatchObject({ code: 'ENGINE_HASH' });
    expect(machine.calls('python3', '--no-deps --only-binary=:all:')).toBe(1);
    expect(machine.calls('python3', '--python-version 3.12 --platform')).toBe(1);
    expect(machine.contents()).toEqual([]);
  });
});

describe('a step that fails leaves the earlier engine, and names itself', () => {
  beforeEach(async () => {
    machine.tensorflow(cachedTensorflow(false));
    await install();
  });

  test.each([
    ['the compiler', 'ENGINE_NO_COMPILER', () => ({ CXX: join(machine.folder, 'no-compiler') })],
    [
      'compiling',
      'ENGINE_COMPILE',
      () => machine.tool('g++', '[ "$1" = --version ] || { echo "x.cc: error: no"; exit 1; }'),
    ],
    ['the proof', 'ENGINE_PROOF', () => machine.tool('node', 'echo "Illegal instruction" >&2; kill -ILL $$')],
    ['the named folder', 'ENGINE_LIBTENSORFLOW', () => ({ MOORING_LIBTENSORFLOW: machine.folder })],
    ['finding pip', 'ENGINE_NO_PIP', () => machine.tool('python3', 'echo "No module named pip" >&2; exit 1'), true],
    [
      'the download',
      'ENGINE_DOWNLOAD',
      () => machine.tool('python3', 'case "$*" in *download*) exit 1 ;; *find_spec*) echo null ;; esac'),
      true,
    ],
    ['the hash', 'ENGINE_HASH', () => undefined, true],
  ])('%s', async (_, code, breakIt, gpu = false) => {
    const before = { engine: readInstalled(), contents: machine.contents() };
    Object.assign(process.env, breakIt());
    const error = await install({ gpu }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, entry: { remedy: expect.stringMatching(/\w/) } });
    expect({ engine: readInstalled(), contents: machine.contents() }).toEqual(before);
  });

  test('also one that was compiled otherwise than now, which another release may use', async () => {
    const current = join(engineFolder(), 'current.json');
    writeFileSync(current, JSON.stringify({ ...readInstalled(), binding: 1 }));
    const before = machine.contents();
    machine.tool('g++', '[ "$1" = --version ] || { echo "x.cc: error: no"; exit 1; }');
    await expect(install()).rejects.toMatchObject({ code: 'ENGINE_COMPILE' });
    expect(machine.contents()).toEqual(before);
  });

  test('names the file that is missing from MOORING_LIBTENSORFLOW', async () => {
    process.env.MOORING_LIBTENSORFLOW = machine.folder;
    await expect(install()).rejects.toThrow(/libtensorflow_cc.* is missing/);
  });

  test('says why the compiler failed', async () => {
    machine.tool('g++', '[ "$1" = --version ] || { echo "x.cc:1: error: no such thing" >&2; echo more >&2; exit 1; }');
    await expect(install()).rejects.toThrow('x.cc:1: error: no such thing');
  });
});

describe('installs at once', () => {
  beforeEach(() => {
    machine.tensorflow(cachedTensorflow(false));
  });

  test('run one after another, and the last one stays', async () => {
    const [first, second] = await Promise.all([install(), install()]);
    expect(first.build).not.toBe(second.build);
    const builds = readdirSync(join(engineFolder(), 'builds'));
    expect(builds).toEqual([readInstalled()?.build]);
    expect(lines.filter((line) => line.includes(`process ${process.pid}`))).toHaveLength(1);
  });

  test('compile once where only a missing engine is wanted', async () => {
    const [first, second] = await Promise.all([install({ onlyIfMissing: true }), install({ onlyIfMissing: true })]);
    expect(first).toEqual(second);
    expect(machine.calls('g++', 'tfjs_binding.node')).toBe(1);
  });
});

describe('after an install that was killed', () => {
  const killed = () => {
    const script = new URL('installInChild.js', import.meta.url).pathname;
    return spawnSync(machine.realNode, [script], { env: process.env }).signal === 'SIGKILL';
  };
  const leftovers = () => machine.contents().filter((path) => /lock$|new/.test(path));

  test('while it compiled, the next one works and clears up', async () => {
    machine.tensorflow(cachedTensorflow(false));
    machine.tool('g++', '[ "$1" = --version ] || kill -9 $PPID');
    expect(killed()).toBe(true);
    expect(leftovers()).toEqual([expect.stringMatching('builds/new-'), expect.stringMatching('engine/lock')]);

    machine.tool('g++');
    const installed = await install();
    expect(readInstalled()).toEqual(installed);
    expect(leftovers()).toEqual([]);
  });

  test('while it downloaded, nothing half-loaded is taken for TensorFlow', async () => {
    machine.tool('python3', 'case "$*" in *download*) kill -9 $PPID ;; *find_spec*) echo null ;; esac');
    expect(killed()).toBe(true);
    expect(leftovers()).not.toEqual([]);

    machine.tool('python3');
    await expect(install()).rejects.toMatchObject({ code: 'ENGINE_HASH' });
    expect(leftovers()).toEqual([]);
  });
});

test('an installed engine that does not load is named, and wasm takes over', async () => {
  machine.tensorflow(cachedTensorflow(false));
  const { build } = await install();
  await expect(openEngine('native')).rejects.toMatchObject({ code: 'ENGINE_LOAD_FAILED' });
  expect((await openEngine('auto', (line) => lines.push(line))).name).toBe('wasm');
  expect(lines.at(-1)).toMatch(new RegExp(`mooring engine install.*${build}`));
});

test('the binding that is compiled keeps what threads would break in a place for each', async () => {
  machine.tensorflow(cachedTensorflow(false));
  const { build } = await install();
  const source = join(
    engineFolder(),
    'builds',
    build,
    'node_modules/@tensorflow/tfjs-node-gpu/binding/tfjs_backend.cc',
  );
  expect(readFileSync(source, 'utf8').match(/^static .*;$/gm)).toEqual([
    'static thread_local std::set<std::string> ATTR_NAME_SET;',
  ]);
});

test('names the cache that it cannot write to', async () => {
  process.env.MOORING_CACHE = join(machine.folder, 'bin', 'g++');
  await expect(install()).rejects.toMatchObject({ code: 'ENGINE_CACHE' });
});

describe('set-up for a run', () => {
  test('installs what is missing, and the next time does nothing', async () => {
    machine.tensorflow(cachedTensorflow(false));
    await ensureEngine({ log: (line) => lines.push(line) });
    await ensureEngine({ log: (line) => lines.push(line) });
    expect(readInstalled()).toBeDefined();
    expect(machine.calls('g++', 'tfjs_binding.node')).toBe(1);
  });

  test('installs again what was compiled otherwise than it is now', async () => {
    machine.tensorflow(cachedTensorflow(false));
    const installed = await install();
    const earlier = { ...installed, binding: installed.binding - 1 };
    writeFileSync(join(engineFolder(), 'current.json'), JSON.stringify(earlier));
    expect(readInstalled()).toBeUndefined();
    await ensureEngine({ log: (line) => lines.push(line) });
    expect(readInstalled()?.binding).toBe(installed.binding);
  });

  test('says in one line that it goes on with wasm where there is no compiler', async () => {
    process.env.CXX = join(machine.folder, 'no-compiler');
    await ensureEngine({ log: (line) => lines.push(line) });
    expect(lines).toEqual([expect.stringMatching(/^The C\+\+ compiler .* wasm engine.* Install g\+\+/)]);
  });

  test('leaves a machine alone whose user wants another engine', async () => {
    process.env.MOORING_ENGINE = 'cpu';
    await ensureEngine();
    expect(readInstalled()).toBeUndefined();
  });
});

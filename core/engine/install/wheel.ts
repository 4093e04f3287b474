import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../errors.ts';
import type { Progress } from './progress.ts';
import { run } from './run.ts';

/** The TensorFlow that is downloaded. */
export const tensorflowVersion = '2.21.0';

interface Wheel {
  readonly project: string;
  /** pip's platform tag. */
  readonly platform: string;
  readonly sha256: string;
}

/** The published wheels for Python 3.12, which holds the same libraries as those for other Pythons. */
const wheels: Readonly<Record<string, Wheel>> = {
  'linux-x64-cpu': {
    project: 'tensorflow-cpu',
    platform: 'manylinux_2_27_x86_64',
    sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
  },
  'linux-x64-gpu': {
    project: 'tensorflow',
    platform: 'manylinux_2_27_x86_64',
    sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
  },
  'linux-arm64-cpu': {
    project: 'tensorflow',
    platform: 'manylinux_2_27_aarch64',
    sha256: 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552',
  },
  'darwin-arm64-cpu': {
    project: 'tensorflow',
    platform: 'macosx_12_0_arm64',
    sha256: '56ecd7d47429acbe1df2694d50b75bf9fc3995ac92cb367cd9af6c4780ead712',
  },
};

/** The wheel for this machine; throws `ENGINE_PLATFORM` where there is none. */
export function wheelFor(gpu: boolean): Wheel {
  const platform = `${process.platform}-${process.arch}-${gpu ? 'gpu' : 'cpu'}`;
  const wheel = wheels[platform];
  if (wheel === undefined) throw failure('ENGINE_PLATFORM', { platform });
  return wheel;
}

/**
 * Downloads TensorFlow's wheel with the user's own pip configuration, checks its hash, and unpacks libraries and headers
 * into `folder`, which appears whole or not at all. Throws `ENGINE_PLATFORM`, `ENGINE_NO_PIP`, `ENGINE_DOWNLOAD`,
 * `ENGINE_HASH` and `ENGINE_UNPACK`.
 */
export async function downloadTensorflow(
  folder: string,
  options: { gpu: boolean; python: string; progress?: Progress | undefined },
): Promise<void> {
  const { python, progress } = options;
  const wheel = wheelFor(options.gpu);
  const pip = await run(python, ['-m', 'pip', '--version']);
  if (pip.code !== 0) throw failure('ENGINE_NO_PIP', { python, reason: pip.reason });

  const staging = `${folder}.new`; // one at a time: the installation holds the cache's lock
  await rm(staging, { recursive: true, force: true }); // left by one that was killed
  await mkdir(staging, { recursive: true });
  try {
    const file = await download(staging, wheel, python, progress);
    await checkHash(file, wheel.sha256);
    await unpack(file, staging, python);
    await rm(folder, { recursive: true, force: true });
    await rename(join(staging, 'tensorflow'), folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function download(staging: string, wheel: Wheel, python: string, progress?: Progress): Promise<string> {
  const requirement = `${wheel.project}==${tensorflowVersion}`;
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--dest', staging];
  args.push('--python-version', '3.12', '--platform', wheel.platform, requirement);

  // pip hides its own bar from programs: watch its temporary files grow towards the size that it announces
  let total: number | undefined;
  const onOutput = (text: string) => {
    const megabytes = /\.whl.*\(([\d.]+) MB\)/.exec(text)?.[1];
    if (megabytes !== undefined) total = Number(megabytes) * 1e6;
  };
  const watch = setInterval(async () => progress?.({ step: 'download', done: await folderBytes(staging), total }), 200);
  const finished = await run(python, args, { env: { ...process.env, TMPDIR: staging }, onOutput });
  clearInterval(watch);

  const name = finished.code === 0 && (await readdir(staging)).find((entry) => entry.endsWith('.whl'));
  if (!name) throw failure('ENGINE_DOWNLOAD', { requirement, reason: finished.reason });
  return join(staging, name);
}

async function checkHash(file: string, expected: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  const actual = hash.digest('hex');
  if (actual !== expected) throw failure('ENGINE_HASH', { file, actual, expected });
}

/** What the binding needs of a wheel of 1.5 GB: the libraries and the headers of the C interface. */
const unpackScript = `
import re, sys, zipfile
wanted = re.compile(r'tensorflow/(libtensorflow_(cc|framework)[.].*|include/(tensorflow/c|(tensorflow/core|tsl)/platform|(xla/)?tsl/c)/.*)')
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if wanted.fullmatch(name):
            wheel.extract(name, sys.argv[2])
`;

async function unpack(file: string, folder: string, python: string): Promise<void> {
  const finished = await run(python, ['-c', unpackScript, file, folder]);
  await rm(file);
  if (finished.code !== 0) throw failure('ENGINE_UNPACK', { file, folder, reason: finished.reason });
}

/** Bytes of all files below a folder, as far as they are still there when looked at. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries.map((entry) =>
    entry.isFile()
      ? stat(join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        )
      : 0,
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

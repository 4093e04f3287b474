import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { failure } from '../errors.ts';
import { cacheFolder, packageFolder } from './cache.ts';
import { hushSource } from './hush.ts';
import type { Libtensorflow } from './libtensorflow.ts';
import { mendBinding } from './mend.ts';
import { run } from './run.ts';

/** A compiler that runs: `CXX`, else g++, clang++ or c++. Throws `ENGINE_NO_COMPILER`. */
export async function findCompiler(): Promise<readonly [command: string, ...args: string[]]> {
  const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++'];
  let reason = '';
  for (const candidate of candidates) {
    const [command = candidate, ...args] = candidate.trim().split(/\s+/);
    const finished = await run(command, [...args, '--version']);
    if (finished.code === 0) return [command, ...args];
    reason ||= finished.reason;
  }
  throw failure('ENGINE_NO_COMPILER', { compiler: candidates.join('`, `'), reason });
}

/**
 * Compiles the package's binding, mended, against the libraries, and links these into its `deps/lib`.
 * Throws `ENGINE_COMPILE`.
 */
export async function compileBinding(
  build: string,
  tensorflow: Libtensorflow,
  compiler: Awaited<ReturnType<typeof findCompiler>>,
): Promise<void> {
  const folder = packageFolder(build);
  const output = join(folder, 'lib', 'napi-v8');
  await mkdir(output, { recursive: true });
  await linkLibraries(join(folder, 'deps'), dirname(tensorflow.libraries[0]));
  await mendBinding(folder);

  const hush = join(output, 'hush.cc');
  await writeFile(hush, hushSource);
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(folder, 'binding', file));
  const include = `-I${tensorflow.include}`;
  const rpath = `-Wl,-rpath,${process.platform === 'darwin' ? '@loader_path' : '$ORIGIN'}/../../deps/lib`;
  const jobs = [
    [...sources, include, ...tensorflow.libraries, rpath, '-o', join(output, 'tfjs_binding.node')],
    [hush, '-o', join(output, 'hush.node')],
  ];
  const [command, ...before] = compiler;
  const finished = await Promise.all(jobs.map((args) => run(command, [...before, ...flags(), ...args])));
  const failed = finished.find(({ code }) => code !== 0);
  if (failed !== undefined)
    throw failure('ENGINE_COMPILE', { compiler: command, version: tensorflow.source, reason: failed.reason });
}

function flags(): string[] {
  const headers = (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
  const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];
  return ['-std=c++17', '-O2', '-fPIC', '-DNAPI_VERSION=8', `-I${headers}`, ...shared];
}

/** A relative link inside the cache, which may be moved as a whole; an absolute one to libraries elsewhere. */
async function linkLibraries(deps: string, libraries: string): Promise<void> {
  await mkdir(deps, { recursive: true });
  const isCached = !relative(cacheFolder(), libraries).startsWith('..');
  await symlink(isCached ? relative(deps, libraries) : libraries, join(deps, 'lib'));
}

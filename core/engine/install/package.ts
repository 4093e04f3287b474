import { cp, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { failure } from '../errors.ts';
import { tfjsNodeVersion } from './cache.ts';
import { run } from './run.ts';

const name = '@tensorflow/tfjs-node-gpu';

/**
 * Puts tfjs-node-gpu with what it needs into a build folder, running none of its scripts: copied where it is installed
 * beside Mooring already, as in the repository, else fetched by npm. Throws `ENGINE_PACKAGE`.
 *
 * Its own tfjs is replaced by a stub that hands over the copy that Mooring runs, since tensors of one copy mean nothing to
 * another, and node-pre-gyp, which it asks only for the binding's path, by a stub that knows the path.
 */
export async function placePackage(build: string): Promise<void> {
  const names = Object.keys(stubs);
  for (const stub of names) {
    const folder = join(build, 'stubs', stub);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'package.json'),
      JSON.stringify({ name: stub, version: tfjsNodeVersion, main: 'index.js' }),
    );
    await writeFile(join(folder, 'index.js'), `${stubs[stub]}\n`);
  }
  const manifest = {
    private: true,
    dependencies: { [name]: tfjsNodeVersion, ...Object.fromEntries(names.map((stub) => [stub, `file:stubs/${stub}`])) },
    overrides: Object.fromEntries(names.map((stub) => [stub, `$${stub}`])),
  };
  await writeFile(join(build, 'package.json'), JSON.stringify(manifest));
  const installed = installedPackages();
  await (installed === undefined ? fetchPackages(build) : copyPackages(build, installed));
}

const handOver = "module.exports = globalThis[Symbol.for('mooring/tfjs')];";
const stubs: Readonly<Record<string, string>> = {
  '@tensorflow/tfjs': handOver,
  '@tensorflow/tfjs-core': handOver,
  '@mapbox/node-pre-gyp': "exports.find = (file) => require('path').join(file, '../lib/napi-v8/tfjs_binding.node');",
};

/** The folders of tfjs-node-gpu and of the packages that it requires when it runs, if all are installed here. */
function installedPackages(): Readonly<Record<string, string>> | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const require = createRequire(manifest);
    if ((require(manifest) as { version: string }).version !== tfjsNodeVersion) return undefined;
    const folders = ['google-protobuf', 'progress'].map((dependency) => [
      dependency,
      dirname(require.resolve(`${dependency}/package.json`)),
    ]);
    return Object.fromEntries([[name, dirname(manifest)], ...folders]);
  } catch {
    return undefined;
  }
}

async function copyPackages(build: string, folders: Readonly<Record<string, string>>): Promise<void> {
  const modules = join(build, 'node_modules');
  // neither sources, types and tests, nor what a build of its own left there
  const wanted = (path: string) => !/[\\/](src|deps|lib|scripts)$|_test\.js$|\.d\.ts$/.test(path);
  for (const [dependency, folder] of Object.entries(folders))
    await cp(folder, join(modules, dependency), { recursive: true, filter: dependency === name ? wanted : () => true });
  for (const stub of Object.keys(stubs)) await cp(join(build, 'stubs', stub), join(modules, stub), { recursive: true });
}

async function fetchPackages(build: string): Promise<void> {
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--omit=dev'];
  const finished = await run('npm', args, { cwd: build });
  if (finished.code === 0) return;
  throw failure('ENGINE_PACKAGE', { requirement: `${name}@${tfjsNodeVersion}`, reason: finished.reason });
}

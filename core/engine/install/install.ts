import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MooringError } from '../../errors.ts';
import { failure } from '../errors.ts';
import { buildFolder, cacheFolder, engineFolder, type InstalledEngine, readCurrent, readInstalled } from './cache.ts';
import { compileBinding, findCompiler } from './compile.ts';
import { type FindOptions, findLibtensorflow } from './libtensorflow.ts';
import { withLock } from './lock.ts';
import { bindingRevision } from './mend.ts';
import { placePackage } from './package.ts';
import { prove } from './prove.ts';

/** How to install. */
export interface InstallOptions extends Partial<FindOptions> {
  /** Leaves an engine that is already there, also one that another process installed while this one waited. */
  readonly onlyIfMissing?: boolean;
}

/**
 * Installs the native engine into the per-user cache: finds libtensorflow, compiles the binding aside, proves it in a
 * process of its own, and only then puts it in place, in one rename. Until then, and when a step fails, an engine that was
 * there before keeps working. Installs of several processes run one after another.
 * Throws the `ENGINE_...` error of the step that failed.
 */
export async function installEngine(options: InstallOptions = {}): Promise<InstalledEngine> {
  const { gpu = false, python = 'python3', log = console.warn, progress, onlyIfMissing = false } = options;
  const folder = engineFolder();
  const install = async () => {
    const earlier = readInstalled(folder);
    if (onlyIfMissing && earlier !== undefined) return earlier;
    await removeBuilds(folder, readCurrent(folder)?.build);

    const compiler = await findCompiler();
    const tensorflow = await findLibtensorflow({ gpu, python, log, progress });
    const id = randomUUID().slice(0, 8);
    const build = buildFolder({ build: `new-${id}` }, folder);
    try {
      await mkdir(build, { recursive: true });
      await placePackage(build);
      log('Compiling the binding against it; this takes some ten seconds.');
      await compileBinding(build, tensorflow, compiler);
      const proof = await prove(build);
      const installed: InstalledEngine = {
        build: `tensorflow-${proof.tensorflow}-${gpu ? 'gpu' : 'cpu'}-${id}`,
        tensorflow: proof.tensorflow,
        gpu,
        source: tensorflow.source,
        installedAt: new Date().toISOString(),
        binding: bindingRevision,
      };
      await rename(build, buildFolder(installed, folder));
      await putInPlace(folder, installed);
      await removeBuilds(folder, installed.build);
      return installed;
    } finally {
      await rm(build, { recursive: true, force: true });
    }
  };
  try {
    return await withLock(join(cacheFolder(), 'engine', 'lock'), install, (pid) =>
      log(`Waiting for process ${pid}, which is installing the engine.`),
    );
  } catch (cause) {
    if (cause instanceof MooringError) throw cause;
    throw failure('ENGINE_CACHE', { folder: cacheFolder(), reason: (cause as Error).message }, { cause });
  }
}

/** The one moment at which an engine becomes the current one. */
async function putInPlace(folder: string, installed: InstalledEngine): Promise<void> {
  const draft = join(folder, 'current.json.new');
  await writeFile(draft, `${JSON.stringify(installed, null, 2)}\n`);
  await rename(draft, join(folder, 'current.json'));
}

/** Removes what killed installs left, and builds that were replaced; processes that run one keep its mapped files. */
async function removeBuilds(folder: string, keep: string | undefined): Promise<void> {
  const builds = join(folder, 'builds');
  await mkdir(builds, { recursive: true });
  for (const build of await readdir(builds))
    if (build !== keep) await rm(join(builds, build), { recursive: true, force: true });
}

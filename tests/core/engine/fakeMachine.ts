import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Executables that stand in for the real ones; each first notes its arguments in `calls`. */
const scripts = {
  python3: `case "$*" in
  *'pip --version'*) exit 0 ;;
  *'pip download'*) while [ "$1" != --dest ]; do shift; done; echo 'not TensorFlow' > "$2/tensorflow.whl" ;;
  *find_spec*) echo "\${PYTHON_PACKAGE:-null}" ;;
esac`,
  'g++': `while [ $# -gt 1 ]; do [ "$1" = -o ] && : > "$2"; shift; done`,
  node: `echo '{"tensorflow":"2.21.0","usesGpu":false}'`,
};

type Tool = keyof typeof scripts;

/** A machine with a cache of its own on which nothing is real and nothing reaches a network. */
export class FakeMachine {
  readonly folder = mkdtempSync(join(tmpdir(), 'mooring-'));
  readonly cache = join(this.folder, 'cache');
  readonly #environment = { ...process.env };
  /** The Node that runs the tests. */
  readonly realNode = process.execPath;

  constructor() {
    mkdirSync(join(this.folder, 'bin'));
    for (const tool of Object.keys(scripts) as Tool[]) this.tool(tool);
    for (const name of ['CXX', 'MOORING_LIBTENSORFLOW', 'MOORING_ENGINE']) delete process.env[name];
    process.env.MOORING_CACHE = this.cache;
    process.env.PATH = `${join(this.folder, 'bin')}:/usr/bin:/bin`;
    process.execPath = join(this.folder, 'bin', 'node');
  }

  /** Replaces an executable's script. */
  tool(name: Tool, script: string = scripts[name]): void {
    const path = join(this.folder, 'bin', name);
    writeFileSync(
      path,
      `#!/bin/sh\necho "${name} $*" | tr '\\n' ' ' >> '${this.folder}/calls'\necho >> '${this.folder}/calls'\n${script}\n`,
    );
    chmodSync(path, 0o755);
  }

  /** How often an executable was called with arguments that hold `text`. */
  calls(name: Tool, text: string): number {
    const lines = readFileSync(join(this.folder, 'calls'), 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(`${name} `) && line.includes(text)).length;
  }

  /** Empty files where a TensorFlow has its libraries and headers. */
  tensorflow(folder: string): string {
    mkdirSync(join(folder, 'include/tensorflow/c/eager'), { recursive: true });
    const suffix = process.platform === 'darwin' ? '2.dylib' : 'so.2';
    const files = [
      `libtensorflow_cc.${suffix}`,
      `libtensorflow_framework.${suffix}`,
      'include/tensorflow/c/eager/c_api.h',
    ];
    for (const file of files) writeFileSync(join(folder, file), '');
    return folder;
  }

  /** Every folder of builds and libraries, and every lock, in the cache. */
  contents(): string[] {
    const depths: [string, number][] = [[this.cache, 3]];
    const found: string[] = [];
    for (const [folder, depth] of depths)
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (depth === 0 || !entry.isDirectory()) found.push(join(folder, entry.name).slice(this.cache.length + 1));
        else depths.push([join(folder, entry.name), depth - 1]);
      }
    return found.sort();
  }

  remove(): void {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, this.#environment);
    process.execPath = this.realNode;
    rmSync(this.folder, { recursive: true });
  }
}

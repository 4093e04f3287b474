import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** An import by `mooring-plugin:<URL of the run file>!<specifier>` is resolved as if it stood in the run file. */
const fromRunFile = /^mooring-plugin:([^!]*)!(.*)$/s;

/** `mooring` is ours for everyone: one copy, whichever package or folder asks. */
const ours = /^mooring(\/|$)/;

const ourConditions = existsSync(new URL('./main.ts', import.meta.url)) ? ['mooring-source'] : [];

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  const plugin = fromRunFile.exec(specifier);
  if (plugin !== null) return resolve(plugin[2], { ...context, parentURL: plugin[1] }, next);
  if (ours.test(specifier)) return next(specifier, asOurs(context));
  try {
    return await next(specifier, context);
  } catch (error) {
    const fallback = error.code === 'ERR_MODULE_NOT_FOUND' ? secondChance(specifier, context) : undefined;
    if (fallback === undefined) throw error;
    return next(...fallback).catch(() => Promise.reject(error));
  }
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  const file = new URL(url);
  if (file.protocol !== 'file:' || !/\.m?ts$/.test(file.pathname)) return next(url, context);
  const [{ transform }, source] = await Promise.all([import('@swc/core'), readFile(file, 'utf8')]);
  const { code } = await transform(source, { ...compilerOptions, filename: fileURLToPath(file) });
  return { format: 'module', source: code, shortCircuit: true };
}

const compilerOptions = {
  configFile: false,
  swcrc: false,
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc: { target: 'es2022', parser: { syntax: 'typescript', decorators: true } },
};

function asOurs(context) {
  return { ...context, parentURL: import.meta.url, conditions: [...context.conditions, ...ourConditions] };
}

/**
 * Where else an import may be found: `./other.js` is how TypeScript writes `./other.ts`, and a plugin in a folder without
 * dependencies of its own shares ours, such as zod and tfjs.
 */
function secondChance(specifier, context) {
  const isRelative = /^\.{0,2}\//.test(specifier);
  if (!isRelative)
    return /^[\w@]/.test(specifier) && !specifier.includes(':') ? [specifier, asOurs(context)] : undefined;
  return specifier.endsWith('.js') ? [specifier.replace(/\.js$/, '.ts'), context] : undefined;
}

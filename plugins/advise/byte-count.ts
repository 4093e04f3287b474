import { z } from 'zod';

const units = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** What `parseBytes` takes, for messages. */
export const byteForms = '24GiB, 16GB or 512MiB';

/** Bytes of `24GiB`, `16GB`, `1.5TiB`; `undefined` of anything else. A bare number has no unit, and is not taken for bytes. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(text.trim()) ?? [];
  const size = Object.entries(units).find(([name]) => name.toLowerCase() === unit?.toLowerCase())?.[1];
  const bytes = size === undefined ? 0 : Math.floor(Number(number) * size);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** An option that takes an amount of memory, in bytes once it is checked. */
export const bytesSchema = z.string().transform((text, context) => {
  const parsed = parseBytes(text);
  if (parsed === undefined) context.addIssue(`"${text}" is no amount of memory; write ${byteForms}`);
  return parsed ?? 0;
});

/** Bytes for people, three digits: `1.52 GiB`. */
export function formatBytes(bytes: number): string {
  if (bytes === 0) return '0';
  const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const at = Math.min(steps.length - 1, Math.max(0, Math.floor(Math.log2(bytes) / 10)));
  const value = bytes / 2 ** (10 * at);
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${steps[at]}`;
}

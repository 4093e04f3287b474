import { isMainThread } from 'node:worker_threads';

const { mmapThreshold, trimThreshold } = { mmapThreshold: -3, trimThreshold: -1 };

/**
 * Asks the C library to keep memory that is freed, up to a quarter of a GiB at a time, for what is allocated next. Values
 * of parameters and gradients come and go with every block, and large ones are otherwise mapped and zeroed anew each time.
 * Only glibc knows how.
 */
export async function keepFreedMemory(): Promise<void> {
  if (process.platform !== 'linux' || !isMainThread) return;
  try {
    const { default: koffi } = await import('koffi');
    const mallopt = koffi.load(null).func('int mallopt(int, int)');
    // 0: refused, as by older ones above 32 MiB; to trim less is then worse than nothing
    if (mallopt(mmapThreshold, 2 ** 30) === 1) mallopt(trimThreshold, 2 ** 28);
  } catch {
    // another C library: it does as it does
  }
}

import { expect, test } from '@jest/globals';
import { stopOnSignal } from '../../core/cli/interrupt.ts';

function listen() {
  const seen = { reasons: [] as string[], lines: [] as string[], ended: [] as number[], now: 0 };
  const interruption = stopOnSignal((reason) => void seen.reasons.push(reason), {
    tell: (line) => void seen.lines.push(line),
    now: () => seen.now,
    endAtOnce: (code) => void seen.ended.push(code),
  });
  return { seen, interruption };
}

test('a signal asks the run to stop once, and a later one ends the process', () => {
  const { seen, interruption } = listen();
  expect(interruption.exitCode()).toBe(0);
  process.emit('SIGINT');
  seen.now = 400; // the same Ctrl-C, passed on by npm
  process.emit('SIGINT');
  expect(seen).toMatchObject({ reasons: ['Ctrl-C'], ended: [] });
  expect(seen.lines).toHaveLength(1);
  expect(interruption.exitCode()).toBe(130);
  seen.now = 600;
  process.emit('SIGINT');
  expect(seen.ended).toEqual([130]);
  interruption.dispose();
});

test('SIGTERM, as schedulers send it, does the same, and nothing listens afterwards', () => {
  const before = process.listenerCount('SIGTERM');
  const { seen, interruption } = listen();
  process.emit('SIGTERM');
  expect(seen.reasons).toEqual(['SIGTERM']);
  expect(interruption.exitCode()).toBe(143);
  interruption.dispose();
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

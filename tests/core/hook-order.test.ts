import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TapOrder } from 'mooring';
import { orderTaps, type Tap } from '../../core/hooks/order.ts';
import { failureOf } from './support.ts';

const names = ['alpha', 'bravo', 'charlie', 'delta', 'echo'];

function tapOf(plugin: string, order: TapOrder = {}): Tap {
  return { plugin, order, isCapturable: false, fn: () => undefined };
}

function order(...taps: readonly Tap[]): string[] {
  return orderTaps('setup', taps, names).map((tap) => tap.plugin);
}

test('taps keep the order of registration where nobody asks for another', () => {
  expect(order(tapOf('charlie'), tapOf('alpha'), tapOf('bravo'))).toEqual(['charlie', 'alpha', 'bravo']);
});

test('a tap stands before or after the plugins that it names', () => {
  expect(order(tapOf('alpha'), tapOf('bravo', { before: 'alpha' }))).toEqual(['bravo', 'alpha']);
  expect(order(tapOf('alpha', { after: ['bravo', 'charlie'] }), tapOf('bravo'), tapOf('charlie'))).toEqual([
    'bravo',
    'charlie',
    'alpha',
  ]);
});

test('a name of a plugin that taps another hook only constrains nothing', () => {
  expect(order(tapOf('bravo'), tapOf('alpha', { before: 'echo' }))).toEqual(['bravo', 'alpha']);
});

test("'foxtrot?' counts only if foxtrot is there, and without the question mark it is an error", async () => {
  expect(order(tapOf('alpha'), tapOf('bravo', { before: ['foxtrot?', 'alpha?'] }))).toEqual(['bravo', 'alpha']);
  const error = await failureOf(() => order(tapOf('alpha', { before: 'foxtrot' })));
  expect(error).toMatchObject({
    code: 'TAP_ORDER_UNKNOWN',
    details: { hook: 'setup', plugin: 'alpha', name: 'foxtrot', known: names.join(', ') },
  });
});

test('a circle is spelled out, without the taps outside of it', async () => {
  const taps = [
    tapOf('delta', { after: 'alpha' }),
    tapOf('alpha', { after: 'bravo' }),
    tapOf('bravo', { after: 'charlie' }),
    tapOf('charlie', { after: 'alpha' }),
  ];
  const error = await failureOf(() => order(...taps));
  expect(error.code).toBe('TAP_ORDER_CYCLE');
  expect(error.details.cycle).toBe('alpha waits for bravo waits for charlie waits for alpha');
});

test('every place has its reason', () => {
  const placed = orderTaps('setup', [tapOf('alpha'), tapOf('bravo', { before: 'alpha', after: 'echo?' })], names);
  expect(placed.map((tap) => tap.why)).toEqual(['asked to run before alpha, after echo?', 'in order of registration']);
});

test('any constraints without a circle are kept, in the order nearest to that of registration', () => {
  const side = fc.subarray(names, { maxLength: 2 });
  const taps = fc
    .uniqueArray(fc.constantFrom(...names), { minLength: 1 })
    .chain((plugins) =>
      fc.tuple(...plugins.map((name) => fc.record({ before: side, after: side }).map((o) => tapOf(name, o)))),
    );
  fc.assert(
    fc.property(taps, (given) => {
      const allowed = permutations(given).filter((each) => keepsConstraints(each));
      if (allowed.length === 0) expect(() => orderTaps('setup', given, names)).toThrow('cannot be ordered');
      // permutations come in lexicographic order of registration, so the first allowed is the nearest
      else expect(order(...given)).toEqual(allowed[0]?.map((tap) => tap.plugin));
    }),
  );
});

function permutations(taps: readonly Tap[]): Tap[][] {
  if (taps.length === 0) return [[]];
  return taps.flatMap((tap, at) => permutations(taps.toSpliced(at, 1)).map((rest) => [tap, ...rest]));
}

function keepsConstraints(taps: readonly Tap[]): boolean {
  return taps.every((tap, at) => {
    const stands = (name: string) => taps.findIndex((other) => other.plugin === name && other !== tap);
    const before = [tap.order.before ?? []].flat().map(stands);
    const after = [tap.order.after ?? []].flat().map(stands);
    return before.every((other) => other < 0 || other > at) && after.every((other) => other < at);
  });
}

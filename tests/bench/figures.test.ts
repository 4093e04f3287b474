import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Timed } from './clock.ts';
import { drawPanels } from './draw-panels.ts';
import { fitExponent, upperHalf } from './fit-exponent.ts';
import { stepTraffic } from './gathered-bytes.ts';
import { benchModels } from './models.ts';
import { stepOperations } from './operations.ts';
import { type Target, targets, verdict } from './targets.ts';

const timed = (figures: Partial<Timed>): Timed => ({
  ...{ steps: 1, min_ms: 1, med_ms: 1, first_step_s: 1, rss_peak: 1 },
  ...figures,
});

test('finds the exponent of a power law', () => {
  const property = (exponent: number, factor: number) => {
    const law = [1, 2, 4, 8].map((x) => [x, factor * x ** exponent] as const);
    expect(fitExponent(law)).toBeCloseTo(exponent, 6);
  };
  fc.assert(
    fc.property(fc.double({ min: 0, max: 3, noNaN: true }), fc.double({ min: 0.1, max: 1e4, noNaN: true }), property),
  );
});

test('the upper half is the larger values with the middle one, and never fewer than two', () => {
  const at = (...values: number[]) => upperHalf(values.map((x) => [x, 1] as const)).map(([x]) => x);
  expect(at(1, 2, 4, 8, 16)).toEqual([4, 8, 16]);
  expect(at(16, 8, 4, 2)).toEqual([8, 16]);
  expect(at(1, 2)).toEqual([1, 2]);
});

test('counts the operations of a step by hand', () => {
  // hidden 2, one layer of 4 x (2 x 2) attention and 3 x (2 x 3) feed-forward weights, vocabulary 5
  const shape = { hidden: 2, layers: 1, heads: 1, keyValueHeads: 1, feedForward: 3, vocabulary: 5 };
  const sizes = { pairs: 1, promptTokens: 2, completionTokens: 1 };
  const forward = {
    inFull: 2 * 6 * (16 + 18) + 4 * (9 + 9) * 2 + 2 * 2 * (2 * 5), // 2 rows of 3 tokens, 2 targets
    shared: 2 * 4 * (16 + 18) + 4 * (4 + 3 + 3) * 2 + 2 * 2 * (2 * 5), // 2 tokens of prompt and 1 + 1 of completions
  };
  const count = (isPromptShared: boolean, isReferenceCached: boolean) =>
    stepOperations(shape, sizes, { isPromptShared, isReferenceCached });
  expect(count(false, false)).toBe(4 * forward.inFull);
  expect(count(true, true)).toBe(3 * forward.shared);
});

test('counts what a rank gathers and reduces by hand', () => {
  // a tied matrix of 20 numbers, read by two blocks; a layer of 9; a norm of 3, which is whole on every rank
  const block = (name: string, ...names: string[]) => ({
    name,
    kind: 'layer' as const,
    modules: {},
    parameters: Object.fromEntries(names.map((each) => [each, each])),
    run: () => ({}),
  });
  const parameter = (name: string, numbers: number) => ({ name, shape: [numbers], isDecayed: true });
  const model = {
    blocks: [block('embedding', 'matrix'), block('layer', 'linear', 'norm'), block('head', 'matrix')],
    parameters: [parameter('matrix', 20), parameter('linear', 9), parameter('norm', 3)],
  };
  // of two ranks the first has 10 of the matrix and 4 of the layer: three passes, 4 bytes a number
  const first = stepTraffic(model, { rank: 0, ranks: 2, persistenceThreshold: 3 });
  expect(first).toEqual({ gathered: 4 * 3 * (10 + 5 + 10), reduced: 4 * (10 + 5 + 3) });
  const second = stepTraffic(model, { rank: 1, ranks: 2, persistenceThreshold: 3 });
  expect(second).toEqual({ gathered: 4 * 3 * (10 + 4 + 10), reduced: 4 * (10 + 4 + 3) });
  expect(stepTraffic(model, { rank: 0, ranks: 1, persistenceThreshold: 3 })).toEqual({ gathered: 0, reduced: 0 });
});

test('says for each target whether it is met, and where nothing was measured', () => {
  const against = targets[0] as Target;
  const results = (ours: number) => ({
    cloned: new Map([
      ['eager', timed({ min_ms: 1000 })],
      ['compiled', timed({ min_ms: ours })],
      ['TRL', timed({ min_ms: 1000 })],
    ]),
  });
  expect(verdict(against, 'tiny', results(400)).slice(1)).toEqual(['0.4', '0.40', 'met']);
  expect(verdict(against, 'tiny', results(410)).slice(1)).toEqual(['0.4', '0.41', 'not met']);
  expect(verdict(against, '0.1b', { cloned: new Map([['eager', timed({})]]) }).at(-1)).toBe('not measured');
});

test('every target has a limit for every model that is timed', () => {
  for (const { limit } of targets) expect(Object.keys(limit)).toEqual(Object.keys(benchModels));
});

test('draws every measurement within the picture, and escapes what is written', () => {
  const panel = (values: number[]) => ({
    title: 'a < b',
    xLabel: 'x',
    yLabel: 'y',
    lines: [{ name: 'line', legend: 'exponent 1', measurements: values.map((y, index) => [2 ** index, y] as const) }],
  });
  const property = (values: number[]) => {
    const svg = drawPanels('title', [panel(values)]);
    expect(svg).toContain('a &lt; b');
    const places = [...svg.matchAll(/c[xy]="([^"]*)"/g)].map(([, place]) => Number(place));
    expect(places.length).toBe(2 * (values.length + 1)); // and the dot of the legend
    for (const place of places) expect(place >= 0 && place <= 440).toBe(true);
  };
  const measured = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(measured, property));
});

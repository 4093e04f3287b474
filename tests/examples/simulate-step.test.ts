import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { collectiveSeconds, type Network } from '../../examples/04-scaling/network.ts';
import { firstUnhidden, type StepWork, simulateStep } from '../../examples/04-scaling/simulate-step.ts';
import { bytesOfBlocks, stepWorkOf } from '../../examples/04-scaling/step-work.ts';

const seconds = fc.double({ min: 0, max: 10, noNaN: true });
const bytes = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1e9 }));
const visit = fc.record({
  block: fc.constant('alpha'),
  gatheredBytes: bytes,
  computeSeconds: seconds,
  reducedBytes: bytes,
});
const works = fc.record({ visits: fc.array(visit, { minLength: 1, maxLength: 20 }), optimizerSeconds: seconds });
const networks: fc.Arbitrary<Network> = fc.record({
  latencySeconds: fc.double({ min: 0, max: 0.01, noNaN: true }),
  bytesPerSecond: fc.double({ min: 1e6, max: 1e12, noNaN: true }),
  pattern: fc.constantFrom('ring' as const, 'direct' as const),
});
const rankCounts = fc.integer({ min: 1, max: 1024 });
const prefetched = (work: StepWork, ranks: number, network: Network) =>
  simulateStep(work, { ranks, network, isPrefetched: true });
const close = (one: number, other: number) => expect(Math.abs(one - other)).toBeLessThanOrEqual(1e-9 * (1 + other));

test('alone, and over a network that takes no time, a step is its compute, of the optimizer a part', () => {
  const instant = { latencySeconds: 0, bytesPerSecond: Infinity, pattern: 'ring' } as const;
  fc.assert(
    fc.property(works, networks, rankCounts, fc.boolean(), (work, network, ranks, isPrefetched) => {
      const blocks = work.visits.reduce((sum, { computeSeconds }) => sum + computeSeconds, 0);
      close(simulateStep(work, { ranks: 1, network, isPrefetched }).total, blocks + work.optimizerSeconds);
      const fast = simulateStep(work, { ranks, network: instant, isPrefetched });
      close(fast.total, blocks + work.optimizerSeconds / ranks);
    }),
  );
});

test('without prefetch a step is the sum of compute and network, and nothing is hidden', () => {
  fc.assert(
    fc.property(works, networks, rankCounts, (work, network, ranks) => {
      const step = simulateStep(work, { ranks, network, isPrefetched: false });
      close(step.total, step.compute + step.network);
      expect(step).toMatchObject({ hidden: 0, hiddenGathers: 0 });
    }),
  );
});

test('with prefetch it is no longer than the sum, and no shorter than compute or than the network', () => {
  fc.assert(
    fc.property(works, networks, rankCounts, (work, network, ranks) => {
      const { total, compute, network: link, hidden, gathers, hiddenGathers } = prefetched(work, ranks, network);
      const slack = 1e-9 * (1 + compute + link);
      expect(total).toBeLessThanOrEqual(compute + link + slack);
      expect(total).toBeGreaterThanOrEqual(Math.max(compute, link) - slack);
      expect(hidden).toBeLessThanOrEqual(link + slack);
      expect(hiddenGathers).toBeLessThanOrEqual(gathers + slack);
    }),
  );
});

test('a slower network, more latency, more bytes and more compute never make a step shorter', () => {
  fc.assert(
    fc.property(
      works,
      networks,
      rankCounts,
      fc.boolean(),
      fc.double({ min: 1, max: 100, noNaN: true }),
      (work, network, ranks, isPrefetched, more) => {
        const { total } = simulateStep(work, { ranks, network, isPrefetched });
        const visits = (grown: (one: StepWork['visits'][number]) => Partial<StepWork['visits'][number]>) => ({
          ...work,
          visits: work.visits.map((one) => ({ ...one, ...grown(one) })),
        });
        const others = [
          simulateStep(work, {
            ranks,
            network: { ...network, bytesPerSecond: network.bytesPerSecond / more },
            isPrefetched,
          }),
          simulateStep(work, {
            ranks,
            network: { ...network, latencySeconds: network.latencySeconds * more },
            isPrefetched,
          }),
          simulateStep(
            visits((one) => ({ gatheredBytes: one.gatheredBytes * more })),
            { ranks, network, isPrefetched },
          ),
          simulateStep(
            visits((one) => ({ computeSeconds: one.computeSeconds * more })),
            { ranks, network, isPrefetched },
          ),
        ];
        for (const other of others) expect(other.total).toBeGreaterThanOrEqual(total - 1e-9 * (1 + total));
      },
    ),
  );
});

test('a gather of 100 bytes at 100 bytes a second: 4 ranks send 75 each, a ring in 3 rounds, directly in one', () => {
  const network = { latencySeconds: 0.1, bytesPerSecond: 100 };
  expect(collectiveSeconds(100, 4, { ...network, pattern: 'ring' })).toBeCloseTo(0.3 + 0.75);
  expect(collectiveSeconds(100, 4, { ...network, pattern: 'direct' })).toBeCloseTo(0.1 + 0.75);
});

test('by hand: the second gather hides behind the first block, the reduction before the third does not', () => {
  // 2 ranks send half of it at 1 byte a second: a gather of 4 bytes takes 2 s, a reduction of 8 takes 4 s
  const network = { latencySeconds: 0, bytesPerSecond: 1, pattern: 'ring' } as const;
  const alpha = { block: 'alpha', gatheredBytes: 4, computeSeconds: 3, reducedBytes: 8 };
  const bravo = { block: 'bravo', gatheredBytes: 4, computeSeconds: 1, reducedBytes: 0 };
  const work = { visits: [alpha, bravo, bravo], optimizerSeconds: 2 };
  // alpha is gathered until 2 and runs until 5, bravo is there at 4 and runs from 5 to 6; the reduction has the link from
  // 5 to 9, the last gather until 11; bravo runs until 12, and the optimizer of half the parameters until 13
  const step = prefetched(work, 2, network);
  expect(step).toMatchObject({ total: 13, compute: 6, network: 10, hidden: 3, gathers: 6, hiddenGathers: 0 });
  expect(step.waits).toEqual([2, 0, 5]);
  expect(firstUnhidden(work, network, [1, 2, 4], 0.5)).toBe(2);
  expect(firstUnhidden(work, { ...network, bytesPerSecond: 1e9 }, [1, 2, 4], 0.5)).toBeUndefined();
});

test('a tied matrix is gathered for both of its blocks, and its gradient is reduced once, at the lower', () => {
  const block = (name: string, ...parameters: string[]) => ({
    name,
    kind: 'layer' as const,
    modules: {},
    parameters: Object.fromEntries(parameters.map((each) => [each, each])),
    run: () => ({}),
  });
  const blocks = [block('embedding', 'matrix'), block('head', 'norm', 'matrix')];
  const parameters = [
    { name: 'matrix', shape: [10, 4], isDecayed: true },
    { name: 'norm', shape: [4], isDecayed: false },
  ];
  const bytesOf = bytesOfBlocks({ blocks, parameters });
  expect(Object.fromEntries(bytesOf)).toEqual({
    embedding: { parameterBytes: 160, gradientBytes: 160 },
    head: { parameterBytes: 176, gradientBytes: 16 },
  });
  const costs = [...bytesOf].map(([name, of]) => ({
    name,
    kind: 'layer' as const,
    policySeconds: 1,
    referenceSeconds: 2,
    backwardSeconds: 4,
    ...of,
  }));
  const { visits } = stepWorkOf(costs, 0);
  expect(visits.map(({ block }) => block)).toEqual([
    'policy embedding',
    'policy head',
    'reference embedding',
    'reference head',
    'backward head',
    'backward embedding',
  ]);
  expect(visits.map(({ reducedBytes }) => reducedBytes)).toEqual([0, 0, 0, 0, 16, 160]);
});

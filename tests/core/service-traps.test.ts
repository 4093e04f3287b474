import { expect, test } from '@jest/globals';
import { Clock, DataSource, token } from 'mooring';
import { toyRun } from 'mooring/testing';
import { Assembly } from '../../core/assembly.ts';
import { failureOf, plugin, quiet } from './support.ts';

interface Named {
  readonly name: string;
}
const Alpha = token<Named>('Alpha', 'alpha-plugin');
const Bravo = token<Named>('Bravo', 'bravo-plugin');
const open = (plugins: ReturnType<typeof plugin>[], uses = {}) => new Assembly(plugins, quiet).open(uses);

test('a service that cannot be made names the plugin and the service, with the cause; what was made is disposed', async () => {
  const cause = new TypeError('boom');
  const disposed: string[] = [];
  const one = plugin('one', ({ provide }) =>
    provide(Alpha, { uses: {}, create: () => ({ name: 'alpha', dispose: () => void disposed.push('alpha') }) }),
  );
  const two = plugin('two', ({ provide }) =>
    provide(Bravo, { uses: { alpha: Alpha }, create: () => Promise.reject(cause) }),
  );
  const assembly = new Assembly([one, two], quiet);
  const error = await failureOf(() => assembly.open({ bravo: Bravo }));
  expect(error).toMatchObject({
    code: 'SERVICE_FAILED',
    details: { plugin: 'two', service: 'Bravo', message: 'boom' },
  });
  expect(error.cause).toBe(cause);
  assembly.close();
  expect(disposed).toEqual(['alpha']);
});

test('an error that a service makes on purpose stays as it is', async () => {
  const { failure } = await import('../../core/failure.ts');
  const original = failure('NO_EVALUATION_DATA', {});
  const one = plugin('one', ({ provide }) => provide(Alpha, { uses: {}, create: () => Promise.reject(original) }));
  expect(await failureOf(() => open([one], { alpha: Alpha }))).toBe(original);
});

test('a service that is read while services are being made is refused, not undefined', async () => {
  const hasty = plugin(
    'hasty',
    ({ provide, services }) => provide(Alpha, { uses: {}, create: () => ({ name: services.bravo.name }) }),
    { alpha: Alpha, bravo: Bravo },
  );
  const other = plugin('other', ({ provide }) => provide(Bravo, { uses: {}, create: () => ({ name: 'bravo' }) }));
  const { code, message } = await failureOf(() => open([hasty, other]));
  expect(code).toBe('SERVICE_TOO_EARLY');
  expect(message).toContain('name it in the `uses` of provide()');
});

test('a decorator of a service that nobody provides is refused, not forgotten', async () => {
  const wrap = plugin('wrap', ({ decorate }) => decorate(Alpha, { uses: {}, create: (inner) => inner }));
  expect((await failureOf(() => open([wrap]))).message).toMatch(/wrap needs the service Alpha/);
});

test('a decorator that hands back what it got leads to no second disposal', async () => {
  let times = 0;
  const one = plugin('one', ({ provide }) =>
    provide(Alpha, { uses: {}, create: () => ({ name: 'alpha', dispose: () => void times++ }) }),
  );
  const wrap = plugin('wrap', ({ decorate }) => decorate(Alpha, { uses: {}, create: (inner) => inner }));
  const assembly = new Assembly([one, wrap], quiet);
  await assembly.open({ alpha: Alpha });
  assembly.close();
  assembly.close();
  expect(times).toBe(1);
});

test('two plugins that replace the same provider are as undecided as two that replace none', async () => {
  const provider = (name: string, replaces?: string) =>
    plugin(name, ({ provide }) =>
      provide(Alpha, { uses: {}, create: () => ({ name }), ...(replaces ? { replaces } : {}) }),
    );
  const error = await failureOf(() => open([provider('base'), provider('one', 'base'), provider('two', 'base')]));
  expect(error).toMatchObject({ code: 'SERVICE_PROVIDED_TWICE', details: { first: 'one', second: 'two' } });
  const chain = [provider('base'), provider('one', 'base'), provider('two', 'one')];
  expect(await open(chain, { alpha: Alpha })).toEqual({ alpha: { name: 'two' } });
});

test('a decorator may use other services, but not the one that it decorates', async () => {
  const base = plugin('base', ({ provide }) => provide(Alpha, { uses: {}, create: () => ({ name: 'base' }) }));
  const other = plugin('other', ({ provide }) => provide(Bravo, { uses: {}, create: () => ({ name: 'bravo' }) }));
  const wrap = plugin('wrap', ({ decorate }) =>
    decorate(Alpha, { uses: { bravo: Bravo }, create: (inner, { bravo }) => ({ name: inner.name + bravo.name }) }),
  );
  expect(await open([base, other, wrap], { alpha: Alpha })).toEqual({ alpha: { name: 'basebravo' } });
  const self = plugin('self', ({ decorate }) => decorate(Alpha, { uses: { alpha: Alpha }, create: (inner) => inner }));
  expect((await failureOf(() => open([base, self]))).code).toBe('SERVICE_CYCLE');
});

test("a test replaces one of the core's services as any plugin does", async () => {
  let now = 0;
  const still = plugin('still', ({ provide }) =>
    provide(Clock, { replaces: 'core', uses: {}, create: () => ({ now: () => now++ }) }),
  );
  const milliseconds: number[] = [];
  const spy = plugin('spy', ({ hooks }) => {
    hooks.stepEnd.tap(() => undefined);
    hooks.trainEnd.tap(
      ({ run }) => void milliseconds.push(run.ledger().find(({ hook }) => hook === 'stepEnd')?.milliseconds ?? 0),
    );
  });
  await toyRun([still, spy], { steps: 3 }).trainer.train();
  expect(milliseconds).toEqual([3]); // one tick of the clock in each call
});

test('explain lists each service with its provider and its decorators', () => {
  const wrap = plugin('wrap', ({ decorate }) => decorate(DataSource, { uses: {}, create: (inner) => inner }));
  const { services } = toyRun([wrap]).trainer.explain();
  expect(services).toContainEqual({ service: 'DataSource', provider: 'toy', decorators: ['wrap'] });
});

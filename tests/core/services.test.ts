import { expect, test } from '@jest/globals';
import { Clock, definePlugin, optional, token } from 'mooring';
import { Assembly } from '../../core/assembly.ts';
import { failureOf, plugin, quiet } from './support.ts';

interface Named {
  readonly name: string;
}
const Alpha = token<Named>('Alpha', 'alpha-plugin');
const Bravo = token<Named>('Bravo', 'bravo-plugin');
const open = (plugins: ReturnType<typeof plugin>[], uses = {}) => new Assembly(plugins, quiet).open(uses);

test('a service that nobody provides: says who asked, and who usually provides it', async () => {
  const asking = plugin('asking', () => undefined, { alpha: Alpha });
  const { code, message } = await failureOf(() => open([asking]));
  expect(code).toBe('SERVICE_MISSING');
  expect(message).toMatch(/asking needs the service Alpha.*alpha-plugin/);
});

test('a service that may be absent is undefined', async () => {
  const services = await open([], { alpha: optional(Alpha) });
  expect(services).toEqual({ alpha: undefined });
});

test('a second provider is refused by both names, unless it says whose place it takes', async () => {
  const provider = (name: string, replaces?: string) =>
    plugin(name, ({ provide }) =>
      provide(Alpha, { uses: {}, create: () => ({ name }), ...(replaces ? { replaces } : {}) }),
    );
  const { code, message } = await failureOf(() => open([provider('one'), provider('two')]));
  expect(code).toBe('SERVICE_PROVIDED_TWICE');
  expect(message).toMatch(/one.*two/);
  expect(await open([provider('one'), provider('two', 'one')], { alpha: Alpha })).toEqual({ alpha: { name: 'two' } });
  expect(await open([provider('two', 'one'), provider('one')], { alpha: Alpha })).toEqual({ alpha: { name: 'two' } });
  expect((await failureOf(() => open([provider('two', 'zero')]))).code).toBe('SERVICE_REPLACES_NOTHING');
});

test('a fallback provides where nobody else does, whatever the order, and two of them are refused', async () => {
  const provider = (name: string, isFallback: boolean) =>
    plugin(name, ({ provide }) => provide(Alpha, { uses: {}, create: () => ({ name }), isFallback }));
  const [fallback, other] = [provider('fallback', true), provider('other', false)];
  expect(await open([fallback], { alpha: Alpha })).toEqual({ alpha: { name: 'fallback' } });
  expect(await open([fallback, other], { alpha: Alpha })).toEqual({ alpha: { name: 'other' } });
  expect(await open([other, fallback], { alpha: Alpha })).toEqual({ alpha: { name: 'other' } });
  expect((await failureOf(() => open([fallback, provider('second', true)]))).code).toBe('SERVICE_PROVIDED_TWICE');
  expect(new Assembly([fallback, other], quiet).plan().services.map(({ provider }) => provider)).toEqual(['other']);
});

test('a circle of services is spelled out with the plugins that make it', async () => {
  const one = plugin('one', ({ provide }) => provide(Alpha, { uses: { bravo: Bravo }, create: () => ({ name: 'a' }) }));
  const two = plugin('two', ({ provide }) => provide(Bravo, { uses: { alpha: Alpha }, create: () => ({ name: 'b' }) }));
  const { code, message } = await failureOf(() => open([one, two]));
  expect(code).toBe('SERVICE_CYCLE');
  expect(message).toContain('Alpha (one) -> Bravo (two) -> Alpha (one)');
});

test('decorators wrap in order of registration, whoever asks, and each service is made once', async () => {
  let made = 0;
  const base = plugin('base', ({ provide }) =>
    provide(Alpha, {
      uses: {},
      create: () => {
        made++;
        return { name: 'base' };
      },
    }),
  );
  const wrap = (name: string) =>
    plugin(name, ({ decorate }) =>
      decorate(Alpha, { uses: {}, create: (inner) => ({ name: `${name}(${inner.name})` }) }),
    );
  const user = plugin('user', ({ provide }) =>
    provide(Bravo, { uses: { alpha: Alpha }, create: ({ alpha }) => alpha }),
  );
  const services = await open([wrap('first'), base, wrap('second'), user], { alpha: Alpha, bravo: Bravo });
  expect(services).toEqual({ alpha: { name: 'second(first(base))' }, bravo: { name: 'second(first(base))' } });
  expect(made).toBe(1);
});

test('only what is needed is made, and services may take their time', async () => {
  const idle = plugin('idle', ({ provide }) =>
    provide(Alpha, {
      uses: {},
      create() {
        throw new TypeError('made without need');
      },
    }),
  );
  const slow = plugin('slow', ({ provide }) => provide(Bravo, { uses: {}, create: async () => ({ name: 'slow' }) }));
  expect(await open([idle, slow], { bravo: Bravo })).toEqual({ bravo: { name: 'slow' } });
});

test('services are disposed in reverse order of creation', async () => {
  const disposed: string[] = [];
  const disposable = (name: string) => ({ name, dispose: () => void disposed.push(name) });
  const one = plugin('one', ({ provide }) => provide(Alpha, { uses: {}, create: () => disposable('alpha') }));
  const two = plugin('two', ({ provide }) =>
    provide(Bravo, { uses: { alpha: Alpha }, create: () => disposable('bravo') }),
  );
  const assembly = new Assembly([two, one], quiet);
  await assembly.open({ bravo: Bravo });
  assembly.close();
  expect(disposed).toEqual(['bravo', 'alpha']);
});

test('a service that is read in apply, or never declared, is refused', async () => {
  const early = definePlugin({
    name: 'early',
    apiVersion: 1,
    uses: { clock: Clock },
    apply: ({ services }) => void services.clock,
  });
  expect((await failureOf(() => open([early()]))).code).toBe('SERVICE_TOO_EARLY');
  const sly = definePlugin({
    name: 'sly',
    apiVersion: 1,
    apply: ({ services }) => void (services as { clock?: unknown }).clock,
  });
  expect((await failureOf(() => open([sly()]))).code).toBe('SERVICE_NOT_DECLARED');
});

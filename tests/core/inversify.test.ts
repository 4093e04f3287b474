import 'reflect-metadata';
import { expect, test } from '@jest/globals';
import { Container, ContainerModule } from 'inversify';
import { DataSource } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

// why core/container.ts builds a container once and never rebinds or unloads: what inversify does is shown first

const Alpha = Symbol.for('Alpha');
const Bravo = Symbol.for('Bravo');
const singletons = () => new Container({ defaultScope: 'Singleton' });

test('a missing service is a bare symbol in inversify; here it names who asked and who usually provides it', async () => {
  expect(() => singletons().get(Alpha)).toThrow('No bindings found for service: "Symbol(Alpha)"');
  const { message } = await failureOf(() => toyRun().trainer.remove('toy').train());
  expect(message).toContain('The core needs the service Model');
  expect(message).toContain('It usually comes from the plugin causal-lm');
});

test("a module's rebind survives its unload in inversify; a plugin that is removed here leaves nothing behind", async () => {
  const container = singletons();
  container.bind(Alpha).toConstantValue('core');
  const rebinding = new ContainerModule(async ({ rebind }) => {
    (await rebind(Alpha)).toConstantValue('module');
  });
  await container.loadAsync(rebinding);
  await container.unloadAsync(rebinding);
  expect(container.get(Alpha)).toBe('module');

  const other = plugin('other', ({ provide }) =>
    provide(DataSource, { replaces: 'toy', uses: {}, create: () => undefined as never }),
  );
  const { services } = toyRun([other]).trainer.remove('other').explain();
  expect(services).toContainEqual({ service: 'DataSource', provider: 'toy', decorators: [] });
});

test('a module that activates leaves singletons wrapped when it is unloaded', async () => {
  const container = singletons();
  container.bind(Alpha).toResolvedValue(() => ({ name: 'plain' }), []);
  const wrapping = new ContainerModule(({ onActivation }) => onActivation(Alpha, (_, inner) => ({ inner })));
  container.load(wrapping);
  container.get(Alpha);
  await container.unloadAsync(wrapping);
  expect(container.get(Alpha)).toEqual({ inner: { name: 'plain' } });
});

test('a singleton keeps the service that it was made with when that is bound anew', async () => {
  const container = singletons();
  container.bind(Alpha).toResolvedValue(() => 'old', []);
  container.bind(Bravo).toResolvedValue((alpha: unknown) => ({ alpha }), [Alpha]);
  container.get(Bravo);
  await container.unbindAsync(Alpha);
  container.bind(Alpha).toConstantValue('new');
  expect(container.get(Bravo)).toEqual({ alpha: 'old' });
});

test('a module in one expression is taken for an asynchronous one, since it returns something', () => {
  // @ts-expect-error: the compiler refuses it too
  const brief = new ContainerModule(({ bind }) => bind(Alpha).toConstantValue('alpha'));
  expect(() => singletons().load(brief)).toThrow('Unexpected asynchronous module load');
});

import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MooringError } from 'mooring';
import { applySettings } from '../../core/cli/settings.ts';

const content = {
  model: 'm',
  train: { steps: 3 },
  plugins: ['ref-clone', { dpo: { beta: 0.1 } }, './plugins/mine.ts'],
};
const apply = (...settings: string[]) => applySettings(content, settings).data;

test('a setting replaces a value or adds one, and leaves the rest', () => {
  expect(apply('train.steps=5', 'train.adam.beta1=0.8', 'output=runs/a=b')).toEqual({
    ...content,
    train: { steps: 5, adam: { beta1: 0.8 } },
    output: 'runs/a=b',
  });
  expect(content.train.steps).toBe(3);
});

test('values are YAML', () => {
  expect(apply('train.learningRate=1e-3', 'train.shuffle=false', 'x=[1, a]')).toMatchObject({
    train: { learningRate: 0.001, shuffle: false },
    x: [1, 'a'],
  });
});

test('a plugin is found by its name wherever it stands, also one without options and one with dots in its name', () => {
  const settings = ['plugins.dpo.beta=0.5', 'plugins.ref-clone.a=1', 'plugins../plugins/mine.ts.above=2'];
  expect(apply(...settings)).toMatchObject({
    plugins: [{ 'ref-clone': { a: 1 } }, { dpo: { beta: 0.5 } }, { './plugins/mine.ts': { above: 2 } }],
  });
});

test('a plugin that is not listed is added, or removed if it is a default', () => {
  expect(apply('plugins.sync-ref-model.everySteps=2', 'plugins.progress=false')).toMatchObject({
    plugins: [...content.plugins, { 'sync-ref-model': { everySteps: 2 } }, { progress: false }],
  });
});

test('the last setting that covers a path is the one that a message names', () => {
  const { settingOf } = applySettings(content, ['train.steps=4', 'train={}', 'plugins.dpo.beta=2']);
  expect(settingOf(['train', 'steps'])).toBe('train={}');
  expect(settingOf(['plugins', 1, 'dpo', 'beta'])).toBe('plugins.dpo.beta=2');
  expect(settingOf(['model'])).toBeUndefined();
});

test('any text is a setting or an error with a code, and reaches no prototype', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constantFrom('__proto__.x=1', 'a.__proto__.y=1', '=', 'a=[')), (setting) => {
      try {
        apply(setting);
      } catch (error) {
        expect(error).toBeInstanceOf(MooringError);
      }
      expect(({} as Record<string, unknown>).x ?? ({} as Record<string, unknown>).y).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

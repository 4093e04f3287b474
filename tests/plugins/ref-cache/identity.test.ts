import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { digestOf, settleIdentity } from '../../../plugins/ref-cache/identity.ts';
import { failureOf } from '../../core/support.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-identity-'));
afterAll(() => rmSync(root, { recursive: true }));

const identity = {
  reference: 'clone',
  storage: 'float32',
  weights: 'aa',
  model: 'qwen2, 5M',
  data: 'bb',
  tokenizer: 'cc',
  maxLength: '96',
  truncationMode: 'keep_start',
};

describe('what a cache is of', () => {
  it.each(Object.keys(identity) as (keyof typeof identity)[])(
    'is refused where %s is another, with both',
    async (field) => {
      const directory = path.join(root, field);
      await settleIdentity(directory, identity);
      await settleIdentity(directory, identity);
      const other = { ...identity, [field]: 'another' };
      const { code, message } = await failureOf(() => settleIdentity(directory, other));
      expect(code).toBe('REF_CACHE_STALE');
      expect(message).toContain(`: ${field} is ${identity[field]} there and another here.`);
      expect(message).toContain(directory);
      expect(digestOf(other)).not.toBe(digestOf(identity));
    },
  );

  it('does not depend on the order of its fields', () => {
    expect(digestOf({ data: 'bb', weights: 'aa' })).toBe(digestOf({ weights: 'aa', data: 'bb' }));
  });
});

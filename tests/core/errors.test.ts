import { expect, test } from '@jest/globals';
import { defineErrors, MooringError } from 'mooring';

const failure = defineErrors({
  FILE_MISSING_ALPHA: { fact: '{file} does not exist.', consequence: 'Nothing was read.', remedy: 'Check the path.' },
});

test('an error says fact, consequence and remedy, and carries its code, details and cause', () => {
  const cause = new TypeError('bravo');
  const error = failure('FILE_MISSING_ALPHA', { file: 'alpha.jsonl' }, { cause });
  expect(error).toBeInstanceOf(MooringError);
  expect(error.message).toBe('alpha.jsonl does not exist. Nothing was read. Check the path.');
  expect(error.code).toBe('FILE_MISSING_ALPHA');
  expect(error.details).toEqual({ file: 'alpha.jsonl' });
  expect(error.cause).toBe(cause);
});

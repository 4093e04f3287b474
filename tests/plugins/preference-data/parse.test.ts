import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MooringError } from 'mooring';
import { PairParser } from '../../../plugins/preference-data/parse.ts';
import { errorOf } from './support.ts';

const bytes = (row: unknown) => new TextEncoder().encode(typeof row === 'string' ? row : JSON.stringify(row));
const parse = (row: unknown, line = 1) => new PairParser('pairs.jsonl').parse(bytes(row), line);
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('a row', () => {
  it('is a pair of plain texts', () => {
    const row = { prompt: 'alpha', chosen: 'bravo', rejected: 'charlie' };
    expect(parse(row)).toEqual({ format: 'plain', ...row });
  });

  it('is a pair of conversations, with whatever else a message holds', () => {
    const row = {
      prompt: [{ ...user('alpha'), name: 'x' }],
      chosen: [assistant('bravo')],
      rejected: [assistant('no')],
    };
    expect(parse(row)).toEqual({ format: 'conversational', ...row });
  });

  it('gives its implicit prompt as TRL extracts it', () => {
    // TRL, extract_prompt: the space before the first difference belongs to the completions
    expect(parse({ chosen: 'The sky is blue.', rejected: 'The sky is green.' })).toMatchObject({
      prompt: 'The sky is',
      chosen: ' blue.',
      rejected: ' green.',
    });
    // one begins the other: the last common character stays in the completions
    expect(parse({ chosen: 'abc', rejected: 'abcde' })).toMatchObject({ prompt: 'ab', chosen: 'c', rejected: 'cde' });
    expect(parse({ chosen: 'a b', rejected: 'a bc' })).toMatchObject({ prompt: 'a ', chosen: 'b', rejected: 'bc' });
    expect(parse({ chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] })).toMatchObject({
      prompt: [user('q')],
      chosen: [assistant('a')],
      rejected: [assistant('b')],
    });
  });

  it('never splits a character that takes two code units', () => {
    expect(parse({ chosen: 'a🙂', rejected: 'a🙃' })).toMatchObject({ prompt: 'a', chosen: '🙂', rejected: '🙃' });
  });

  it('may repeat the question as a string beside conversations that begin with it', () => {
    const conversations = { chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] };
    expect(parse({ prompt: 'q', ...conversations })).toMatchObject({ prompt: [user('q')], chosen: [assistant('a')] });
  });

  it('may be blank, end in a carriage return, or begin with a byte order mark', () => {
    expect(parse(' \r')).toBeUndefined();
    const row = '{"prompt":"a","chosen":"b","rejected":"c"}';
    expect(parse(`${row}\r`)).toMatchObject({ prompt: 'a' });
    expect(parse(`\uFEFF${row}`)).toMatchObject({ prompt: 'a' });
  });

  it('keeps count of the columns that nothing reads', () => {
    const parser = new PairParser('pairs.jsonl');
    parser.parse(bytes({ id: 7, prompt: 'a', chosen: 'b', rejected: 'c', images: null }), 1);
    expect([...parser.ignored]).toEqual(['id', 'images']);
  });
});

describe('a row that will not do', () => {
  const good = { prompt: 'a', chosen: 'b', rejected: 'c' };
  const { chosen: _, ...withoutChosen } = good;
  it.each<[code: string, row: unknown, names: string]>([
    ['ROW_NOT_JSON', '{"prompt": "a",', 'JSON'],
    ['ROW_NOT_OBJECT', '[1]', 'a list'],
    ['ROW_NOT_OBJECT', 'null', 'null'],
    ['COLUMN_MISSING', withoutChosen, '`chosen`'],
    ['COLUMN_MISSING', { ...withoutChosen, choosen: 'b' }, 'Rename `choosen` to `chosen`'],
    ['COLUMN_MISSING', { Prompt: 'a', chosen: 'b', rejected: 'c' }, 'Rename `Prompt` to `prompt`'],
    ['COLUMN_MISSING', {}, 'none'],
    ['COLUMN_UNSUPPORTED', { ...good, tools: [] }, '`tools`'],
    ['COLUMN_TYPE', { ...good, rejected: 7 }, 'a number'],
    ['COLUMN_TYPE', { ...good, rejected: [assistant('c')] }, 'a list'],
    ['COLUMN_TYPE', { ...good, prompt: [user('a')] }, '`prompt`'],
    ['COLUMN_TYPE', { chosen: {}, rejected: {} }, 'an object'],
    ['COLUMN_TYPE', { chosen: ['b'], rejected: ['c'] }, '`chosen[0]`'],
    ['COLUMN_TYPE', { chosen: [{ content: 'b' }], rejected: [] }, '`chosen[0].role`'],
    ['COLUMN_TYPE', { chosen: [{ role: 'user', content: [] }], rejected: [] }, '`chosen[0].content`'],
    ['TEXT_EMPTY', { ...good, prompt: '' }, '`prompt`'],
    ['TEXT_EMPTY', { ...good, chosen: '' }, '`chosen`'],
    ['TEXT_EMPTY', { chosen: [], rejected: [user('a')] }, '`prompt`'],
    ['TEXT_EMPTY', { prompt: [user('a')], chosen: [assistant('')], rejected: [assistant('c')] }, '`chosen`'],
    ['PROMPT_NOT_SHARED', { chosen: 'alpha', rejected: 'bravo' }, 'begin differently'],
    ['PROMPT_NOT_SHARED', { prompt: 'a', chosen: [assistant('b')], rejected: [assistant('c')] }, 'begin differently'],
  ])('is refused with %s: %j', async (code, row, names) => {
    const error = await errorOf(() => parse(row, 17));
    expect(error).toMatchObject({ code, details: { file: 'pairs.jsonl', line: 17 } });
    expect(error.message).toContain(names);
    expect(error.message).toMatch(/ine 17 of pairs\.jsonl/);
    expect(error.message).not.toMatch(/[{]\w+[}]/);
  });

  it('is refused when it is not UTF-8', async () => {
    const broken = Uint8Array.of(...bytes('{"prompt":"'), 0xff, ...bytes('"}'));
    expect(await errorOf(() => new PairParser('pairs.jsonl').parse(broken, 3))).toMatchObject({ code: 'ROW_NOT_UTF8' });
  });

  it('is refused when it differs from the rows before in whether it has a prompt', async () => {
    const implicit = { chosen: 'ab', rejected: 'ac' };
    const parser = new PairParser('pairs.jsonl');
    parser.parse(bytes(good), 1);
    expect(await errorOf(() => parser.parse(bytes(implicit), 2))).toMatchObject({ code: 'COLUMN_MISSING' });
    const other = new PairParser('pairs.jsonl');
    other.parse(bytes(implicit), 1);
    expect(await errorOf(() => other.parse(bytes(good), 2))).toMatchObject({ code: 'PROMPT_MIXED' });
  });

  it('is refused with an error of ours whatever it holds', () => {
    const keys = fc.constantFrom('prompt', 'chosen', 'rejected', 'promt', 'id', 'role', 'content', '__proto__');
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.string(),
        fc.constantFrom(null, 0, true, ' ', ''),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
      ),
    }));
    const line = fc.oneof(
      fc.uint8Array(),
      value.map((row) => bytes(JSON.stringify(row) ?? 'null')),
      fc.record({ prompt: value, chosen: value, rejected: value }).map(bytes),
    );
    fc.assert(
      fc.property(line, (content) => {
        try {
          const pair = new PairParser('pairs.jsonl').parse(content, 1);
          for (const column of ['prompt', 'chosen', 'rejected'] as const)
            if (pair !== undefined) expect(pair[column].length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(MooringError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

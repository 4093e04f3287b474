import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type ChatMessage, createTrainer, MooringError } from 'mooring';
import { toy } from 'mooring/testing';
import { tokenizer as tokenizerPlugin } from '../../../plugins/tokenizer/index.ts';
import { checkVocabulary, loadTokenizer } from '../../../plugins/tokenizer/tokenizer.ts';

const trl = join(import.meta.dirname, '../../fixtures/trl');
const source = join(trl, 'tokenizer');
const scratch = mkdtempSync(join(tmpdir(), 'mooring-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Expected {
  texts: { text: string; ids: number[] }[];
  chat: { messages: ChatMessage[]; text: string; ids: number[] };
}
const expected: Expected = JSON.parse(readFileSync(join(trl, 'tokenizer_expected.json'), 'utf8'));

describe('tokenizer', () => {
  const tokenizer = loadTokenizer(source);

  it.each(expected.texts)('gives the ids of transformers for $text', ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('renders and encodes a conversation as transformers does', () => {
    const text = tokenizer.applyChatTemplate(expected.chat.messages, { addGenerationPrompt: true });
    expect(text).toBe(expected.chat.text);
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(expected.chat.ids);
  });

  it('knows its special tokens, size and files', () => {
    expect(tokenizer).toMatchObject({ eosId: 2, eosToken: '</s>', padId: 0, vocabularySize: 384 });
    expect(tokenizer.files.map((file) => basename(file))).toEqual([
      'tokenizer.json',
      'tokenizer_config.json',
      'chat_template.jinja',
    ]);
  });

  it('leaves special tokens out when asked, and ids that stand for nothing always', () => {
    expect(tokenizer.decode([2, 74, 1])).toBe('</s>h<s>');
    expect(tokenizer.decode([2, 74, 1], { skipSpecialTokens: true })).toBe('h');
    expect(tokenizer.decode([74, 100_000])).toBe('h');
    expect(tokenizer.decode([])).toBe('');
  });

  it('gives any text back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });
});

describe('a folder of another shape', () => {
  it('reads the chat template from tokenizer_config.json, by name if there are several', () => {
    const template = [
      { name: 'tool_use', template: 'no' },
      { name: 'default', template: '{{ messages[0].content }}{{ eos_token }}' },
    ];
    const tokenizer = loadTokenizer(
      folderWith({ 'tokenizer_config.json': { eos_token: { content: '</s>' }, chat_template: template } }, [
        'chat_template.jinja',
      ]),
    );
    expect(tokenizer.applyChatTemplate([{ role: 'user', content: 'hi' }], { addGenerationPrompt: false })).toBe(
      'hi</s>',
    );
  });

  it('finds special tokens in special_tokens_map.json, or by id in the config of the model', () => {
    const byMap = folderWith({ 'tokenizer_config.json': {}, 'special_tokens_map.json': { eos_token: '</s>' } });
    expect(loadTokenizer(byMap).eosId).toBe(2);
    const byId = folderWith({ 'tokenizer_config.json': {}, 'config.json': { eos_token_id: [2, 1] } });
    expect(loadTokenizer(byId)).toMatchObject({ eosId: 2, eosToken: '</s>', padId: 2 });
  });

  it('has no end token where none is named', () => {
    expect(loadTokenizer(folderWith({ 'tokenizer_config.json': {} }))).toMatchObject({ eosId: undefined, padId: 0 });
  });
});

describe('a folder that will not do', () => {
  const conversation: ChatMessage[] = [{ role: 'user', content: 'hi' }];
  const render = (folder: string) => () =>
    loadTokenizer(folder).applyChatTemplate(conversation, { addGenerationPrompt: true });

  it.each<[code: string, attempt: () => unknown, names: string]>([
    ['TOKENIZER_MISSING', () => loadTokenizer(folderWith({}, ['tokenizer.json'])), 'tokenizer.json'],
    ['TOKENIZER_MALFORMED', () => loadTokenizer(folderWith({ 'tokenizer.json': '{"model":' })), 'tokenizer.json'],
    ['TOKENIZER_MALFORMED', () => loadTokenizer(folderWith({ 'tokenizer.json': [] })), 'JSON object'],
    ['TOKENIZER_MALFORMED', () => loadTokenizer(folderWith({ 'tokenizer.json': {} })), '`model`'],
    ['TOKENIZER_UNSUPPORTED', () => loadTokenizer(folderWith({ 'tokenizer.json': { model: { type: 'Odd' } } })), 'Odd'],
    [
      'SPECIAL_TOKEN_UNKNOWN',
      () => loadTokenizer(folderWith({ 'tokenizer_config.json': { eos_token: '</S>' } })),
      '</s>',
    ],
    ['CHAT_TEMPLATE_MISSING', render(folderWith({}, ['chat_template.jinja'])), 'chat_template.jinja'],
    ['CHAT_TEMPLATE_MALFORMED', render(folderWith({ 'chat_template.jinja': '{% for m in %}' })), 'not valid'],
    ['CHAT_TEMPLATE_FAILED', render(folderWith({ 'chat_template.jinja': "{{ raise_exception('no') }}" })), 'user: no'],
    ['TOKEN_BEYOND_VOCABULARY', () => checkVocabulary(loadTokenizer(source), 383, source), '383'],
  ])('is refused with %s', (code, attempt, names) => {
    const error = thrownBy(attempt);
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(names);
  });

  it('is refused in a run as soon as the model is known', async () => {
    const run = createTrainer({ model: source, train: { engine: 'cpu' } }).use(toy(), tokenizerPlugin());
    await expect(run.train()).rejects.toMatchObject({ message: expect.stringContaining('embeddings for 8 tokens') });
  });

  it('takes a vocabulary that is larger than the tokenizer', () => {
    expect(() => checkVocabulary(loadTokenizer(source), 384, source)).not.toThrow();
  });
});

function thrownBy(attempt: () => unknown): MooringError {
  try {
    attempt();
  } catch (error) {
    if (error instanceof MooringError) return error;
    throw error;
  }
  throw new TypeError('nothing was thrown');
}

/** A copy of the fixture's folder with some files replaced and some left out. */
function folderWith(files: Record<string, unknown>, without: string[] = []): string {
  const folder = mkdtempSync(join(scratch, 'folder-'));
  cpSync(source, folder, { recursive: true });
  for (const name of without) rmSync(join(folder, name));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  return folder;
}

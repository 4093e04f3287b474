import { resolve } from 'node:path';
import { type CommandPlugin, defineCommand, Generator, Tokenizer } from 'mooring';
import { z } from 'zod';
import { failure } from './errors.ts';
import { scorePairs, scoreTokens } from './score.ts';

const model = { flags: '--model <folder>', description: 'a Hugging Face folder', isRequired: true };
const adapter = { flags: '--adapter <folder>', description: 'a PEFT folder' };

/** `mooring score`: log-probabilities of given tokens. */
export const score = defineCommand({
  name: 'score',
  description: 'write the log-probabilities of token rows or of preference pairs',
  flags: [
    model,
    adapter,
    { flags: '--data <file.jsonl>', description: 'preference pairs; writes JSONL' },
    { flags: '--tokens <file.safetensors>', description: 'input_ids and attention_mask; writes safetensors' },
    { flags: '--logits', description: 'with --tokens: the logits too' },
    { flags: '--output <file>', description: 'where the figures go', isRequired: true },
  ],
  options: z.object({
    model: z.string(),
    adapter: z.string().optional(),
    data: z.string().optional(),
    tokens: z.string().optional(),
    logits: z.boolean().optional(),
    output: z.string(),
  }),
  async run({ adapter: folder, data, tokens, ...given }, context) {
    const options = { ...given, adapters: adapterPlugins(folder) };
    if (data !== undefined && tokens === undefined) return scorePairs({ ...options, data }, context);
    if (tokens !== undefined && data === undefined) return scoreTokens({ ...options, tokens }, context);
    throw failure('SCORE_WHAT', { given: data === undefined ? 'neither' : 'both' });
  },
});

/** `mooring generate`: continues a prompt. */
export const generate = defineCommand({
  name: 'generate',
  description: 'continue a prompt',
  flags: [
    model,
    adapter,
    { flags: '--prompt <text>', description: 'what to continue', isRequired: true },
    { flags: '--max-new-tokens <n>', description: 'how many tokens at most (64)' },
    { flags: '--temperature <x>', description: '0 takes the likeliest token (0)' },
    { flags: '--seed <n>', description: 'of the samples (0)' },
    { flags: '--ignore-eos', description: 'go on after the end-of-sequence token' },
    { flags: '--json', description: 'one JSON object: text, tokens, prompt_tokens' },
  ],
  options: z.object({
    model: z.string(),
    adapter: z.string().optional(),
    prompt: z.string(),
    maxNewTokens: z.coerce.number().int().positive().default(64),
    temperature: z.coerce.number().nonnegative().default(0),
    seed: z.coerce.number().int().nonnegative().default(0),
    ignoreEos: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  async run({ model: folder, adapter: theirs, prompt, json, ...options }, context) {
    const plugins = ['causal-lm', 'tokenizer', ...adapterPlugins(theirs)];
    const take = { plugins, uses: { generator: Generator, tokenizer: Tokenizer } };
    await context.withServices({ model: resolve(folder) }, take, async ({ generator, tokenizer }) => {
      const promptTokens = tokenizer.encode(prompt);
      const [tokens = []] = await generator.generate([promptTokens], options);
      const text = tokenizer.decode(tokens, { skipSpecialTokens: true });
      context.print(json ? `${JSON.stringify({ text, tokens, prompt_tokens: promptTokens })}\n` : `${prompt}${text}\n`);
    });
  },
});

/** What brings an adapter into the model. Nothing is trained, so no reference is needed. */
function adapterPlugins(folder: string | undefined): CommandPlugin[] {
  return folder === undefined ? [] : [{ 'peft-lora': { adapter: resolve(folder), reference: 'none' } }];
}

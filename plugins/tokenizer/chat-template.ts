import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import type { ChatMessage } from 'mooring';
import { failure } from './errors.ts';
import { isObject, messageOf, readJsonObject } from './folder.ts';
import type { SpecialTokens } from './special-tokens.ts';

/** Renders conversations as text. */
export type ChatTemplate = (messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }) => string;

/**
 * The chat template of a Hugging Face folder, rendered as transformers does: chat_template.jinja, else `chat_template`
 * in tokenizer_config.json. Throws CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_MALFORMED, and when used CHAT_TEMPLATE_FAILED.
 */
export function loadChatTemplate(folder: string, special: SpecialTokens): ChatTemplate {
  const template = parse(folder, readSource(folder));
  return (messages, { addGenerationPrompt }) => {
    try {
      return template.render({
        messages,
        add_generation_prompt: addGenerationPrompt,
        tools: null,
        documents: null,
        ...special,
      });
    } catch (cause) {
      const roles = messages.map((message) => message.role).join(', ');
      throw failure('CHAT_TEMPLATE_FAILED', { folder, roles, reason: messageOf(cause) }, { cause });
    }
  };
}

function readSource(folder: string): string {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const inConfig = readJsonObject(folder, 'tokenizer_config.json').chat_template;
  if (typeof inConfig === 'string') return inConfig;
  // Models with several templates list them as { name, template }.
  const named: readonly unknown[] = Array.isArray(inConfig) ? inConfig : [];
  const usual = named.find((entry) => isObject(entry) && entry.name === 'default');
  if (isObject(usual) && typeof usual.template === 'string') return usual.template;
  throw failure('CHAT_TEMPLATE_MISSING', { folder });
}

function parse(folder: string, source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw failure('CHAT_TEMPLATE_MALFORMED', { folder, reason: messageOf(cause) }, { cause });
  }
}

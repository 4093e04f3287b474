import type { ModuleSpec, ParameterSpec } from 'mooring';
import type { DecoderConfig } from './config.ts';

/** What a block reads: its parameters by local name, and its modules. */
export interface Layout {
  readonly parameters: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, ModuleSpec>>;
  readonly specs: readonly ParameterSpec[];
}

/** Token embedding, and the position embedding where positions are learned. */
export function embeddingLayout(config: DecoderConfig): Layout {
  const { family, vocabularySize, maxPositions } = config;
  const layout = new LayoutBuilder(config, '');
  layout.embedding(family.embedding, vocabularySize);
  if (family.positionEmbedding !== undefined) layout.embedding(family.positionEmbedding, maxPositions);
  return layout;
}

/** One decoder layer. */
export function layerLayout(config: DecoderConfig, index: number): Layout {
  const { family, hidden, heads, keyValueHeads, headSize, feedForward } = config;
  const names = family.layerNames;
  const layout = new LayoutBuilder(config, `${family.layer}${index}.`);
  const widths = [heads, keyValueHeads, keyValueHeads].map((count) => count * headSize);
  const isFused = names.projections.length === 1;
  layout.norm(names.attentionNorm, hidden);
  names.projections.forEach((name, part) => {
    const width = isFused ? widths.reduce((sum, each) => sum + each) : (widths[part] as number);
    layout.linear(name, hidden, width, config.hasProjectionBias);
  });
  for (const name of names.headNorms ?? []) layout.norm(name, headSize);
  layout.linear(names.attentionOutput, heads * headSize, hidden, config.hasAttentionOutputBias);
  layout.norm(names.feedForwardNorm, hidden);
  if (names.gate !== undefined) layout.linear(names.gate, hidden, feedForward, config.hasFeedForwardBias);
  layout.linear(names.up, hidden, feedForward, config.hasFeedForwardBias);
  layout.linear(names.down, feedForward, hidden, config.hasFeedForwardBias);
  return layout;
}

/** Final norm and head. A tied head reads the embedding's parameter. */
export function headLayout(config: DecoderConfig): Layout {
  const { family, hidden, vocabularySize, isTied } = config;
  const layout = new LayoutBuilder(config, '');
  layout.norm(family.finalNorm, hidden);
  layout.head(family.head, isTied ? family.embedding : family.head, vocabularySize);
  return layout;
}

class LayoutBuilder implements Layout {
  readonly parameters: Record<string, string> = {};
  readonly modules: Record<string, ModuleSpec> = {};
  readonly specs: ParameterSpec[] = [];
  private readonly config: DecoderConfig;
  private readonly prefix: string;

  constructor(config: DecoderConfig, prefix: string) {
    this.config = config;
    this.prefix = prefix;
  }

  norm(name: string, size: number): void {
    this.add(`${name}.weight`, [size]);
    if (this.config.family.norm === 'layer') this.add(`${name}.bias`, [size]);
  }

  linear(name: string, inputs: number, outputs: number, hasBias: boolean): void {
    const layout = this.config.family.linearLayout;
    const weight = this.add(`${name}.weight`, layout === 'out,in' ? [outputs, inputs] : [inputs, outputs]);
    const bias = hasBias ? this.add(`${name}.bias`, [outputs]) : undefined;
    this.modules[name] = { kind: 'linear', layout, weight, bias };
  }

  embedding(name: string, rows: number): void {
    const weight = this.add(`${name}.weight`, [rows, this.config.hidden]);
    this.modules[name] = { kind: 'embedding', layout: 'in,out', weight };
  }

  head(name: string, owner: string, vocabulary: number): void {
    const weight = this.add(`${name}.weight`, [vocabulary, this.config.hidden], `${owner}.weight`);
    this.modules[name] = { kind: 'linear', layout: 'out,in', weight };
  }

  private add(local: string, shape: readonly number[], name = this.prefix + local): string {
    this.parameters[local] = name;
    this.specs.push({ name, shape, isDecayed: shape.length > 1 });
    return local;
  }
}

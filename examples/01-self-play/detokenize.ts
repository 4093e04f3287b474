/** The word of a tagged token `word/tag`: the tag stands after the last slash, so `1/2/cd` is `1/2` and `//in` is `/`. */
export function stripTag(token: string): string {
  return token.replace(/\/[^/]*$/, '');
}

/**
 * Text as people write it, from the words of a paragraph in the Brown corpus's form: words and punctuation apart by
 * spaces, sentences apart by newlines, quotes written as two backticks and two apostrophes, some punctuation twice.
 * Newlines stay, so that sentences can still be told apart; only a closing mark at the start of a line joins the line before.
 */
export function detokenize(paragraph: string): string {
  let openSingleQuotes = 0;
  const marked = paragraph.replace(token("'"), () => (openSingleQuotes++ % 2 === 0 ? '‘' : '’'));
  return rules.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), marked);
}

/** Matches where the pattern is a whole token, between white space. */
function token(pattern: string): RegExp {
  return new RegExp(`(?<=^|\\s)${pattern}(?=\\s|$)`, 'g');
}

/** In order. Curly quotes stand for quotes whose side is known, until the last rule: the corpus itself is ASCII. */
const rules: readonly (readonly [RegExp, string])[] = [
  [token('``'), '“'],
  [token("''"), '”'],
  [/''/g, '"'], // inches: 1/2''
  [token('([;:?!]) \\1'), '$1'],
  // The corpus closes a quotation before the stop; American printing closes it after.
  [token('([”’](?: [”’])*) ([,.?!])'), '$2 $1'],
  [/\s([,.;:?!)\]”’])(?=\s|$)/g, '$1'],
  [/(?<=^|[\s([“‘])([([“‘]) /g, '$1'],
  [/ ([-/]) /g, '$1'],
  [/([.,;:])\1+/g, '$1'], // an abbreviation that ends a sentence has both stops
  [/[“”]/g, '"'],
  [/[‘’]/g, "'"],
];

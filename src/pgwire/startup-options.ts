// The `options` startup parameter: words separated by white space, a backslash keeps the next character as it is.
//
// Words are kept with their raw text beside what they mean, so that those which go on to Postgres go on byte for byte.
// postgres: src/backend/utils/init/postinit.c (pg_split_opts)

export type OptionWord = { raw: string; text: string }

export function splitOptions(options: string): OptionWord[] {
  const words: OptionWord[] = []
  let raw = ''
  let text = ''
  for (let at = 0; at < options.length; at++) {
    const character = options[at] ?? ''
    if (/[\t\n\v\f\r ]/.test(character)) {
      if (raw !== '') words.push({ raw, text })
      raw = text = ''
    } else if (character === '\\' && at + 1 < options.length) {
      const next = options[++at] ?? ''
      raw += character + next
      text += next
    } else {
      raw += character
      if (character !== '\\') text += character
    }
  }
  if (raw !== '') words.push({ raw, text })
  return words
}

export function joinOptions(words: readonly OptionWord[]): string {
  return words.map((word) => word.raw).join(' ')
}

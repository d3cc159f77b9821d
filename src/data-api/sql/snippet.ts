// A piece of a statement: text that is ours, and values that are not. A value becomes a parameter whatever is in it; a name is quoted.
//
// The text depends on the shape of a request alone, so that a statement prepared once serves every request of its shape.

export type Snippet = { readonly parts: readonly (string | Parameter)[] }
type Parameter = { readonly value: string | null }

export const empty: Snippet = { parts: [''] }

/** ``sql`a ${snippet} b` ``: only snippets may stand between; a value is put in by `param`. */
export function sql(texts: TemplateStringsArray, ...snippets: readonly Snippet[]): Snippet {
  const parts: (string | Parameter)[] = [texts[0] ?? '']
  for (const [i, snippet] of snippets.entries()) parts.push(...snippet.parts, texts[i + 1] ?? '')
  return { parts }
}

/** Text in the format of the type that Postgres infers or that a cast beside it names. NUL is no part of any text in Postgres. */
export const param = (value: string | null): Snippet => ({
  parts: [{ value: value === null ? null : value.replaceAll('\0', '') }],
})

export const ident = (name: string): Snippet => ({ parts: [`"${name.replaceAll('\0', '').replaceAll('"', '""')}"`] })

export const qualified = ({ schema, name }: { schema: string; name: string }): Snippet =>
  schema === '' ? ident(name) : sql`${ident(schema)}.${ident(name)}`

/** Text that this program wrote itself: never anything of a request. */
export const raw = (text: string): Snippet => ({ parts: [text] })

export function join(snippets: readonly Snippet[], between: string): Snippet {
  return { parts: snippets.flatMap((snippet, i) => (i === 0 ? snippet.parts : [between, ...snippet.parts])) }
}

export type Statement = { text: string; values: readonly (string | null)[] }

export function toStatement({ parts }: Snippet): Statement {
  const values: (string | null)[] = []
  let text = ''
  for (const part of parts) text += typeof part === 'string' ? part : `$${values.push(part.value)}`
  return { text, values }
}

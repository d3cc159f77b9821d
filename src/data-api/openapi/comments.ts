// Comments of a schema, as a description has them.

/** The first line, and what follows it. */
export function titleAndRest(text: string | null): [title: string | undefined, rest: string | undefined] {
  if (text === null || text === '') return [undefined, undefined]
  const [title = '', ...rest] = text.split('\n')
  const more = rest.join('\n').replace(/^\n+/, '')
  return [title, more === '' ? undefined : more]
}

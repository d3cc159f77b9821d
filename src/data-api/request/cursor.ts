// A place in a text that is being parsed, and what would have been understood there.
//
// Messages are in the form that PostgREST's clients know: what was unexpected, where, and what was expected. What is expected is gathered as
// alternatives fail at the furthest place that was reached, as parser combinators do it.

import { DataApiError } from '../errors.ts'

/** Of parentheses; deeper ones are refused. */
export const deepest = 64

export class Cursor {
  readonly text: string
  at = 0
  readonly #columnsBefore: number
  #furthest = 0
  #expected: string[] = []

  /** `columnsBefore`: what PostgREST reads in front of the text and counts as well. */
  constructor(text: string, columnsBefore = 0) {
    this.text = text
    this.#columnsBefore = columnsBefore
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length
  }

  peek(): string {
    return this.text.charAt(this.at)
  }

  /** Whether it comes next; what is `expected` otherwise is noted. */
  eat(text: string, expected: string = JSON.stringify(text)): boolean {
    if (this.text.startsWith(text, this.at)) {
      this.at += text.length
      return true
    }
    this.expected(expected)
    return false
  }

  comes(text: string): boolean {
    return this.text.startsWith(text, this.at)
  }

  skipBlanks(): void {
    while (this.peek() === ' ' || this.peek() === '\t') this.at += 1
  }

  /** Notes what would have been understood here. */
  expected(what: string): void {
    if (this.at > this.#furthest) {
      this.#furthest = this.at
      this.#expected = []
    }
    if (this.at === this.#furthest && !this.#expected.includes(what)) this.#expected.push(what)
  }

  /** From here on it can be nothing else: what was understood further on in another way does not count. */
  insist(what: string): void {
    this.#furthest = this.at
    this.#expected = [what]
  }

  /** The end of what went wrong where most was understood. `what`: `select parameter` … */
  failure(what: string): DataApiError {
    // Columns are counted from one, in characters.
    const column = this.#columnsBefore + Array.from(this.text.slice(0, this.#furthest)).length + 1
    const next = this.text.slice(this.#furthest)
    const unexpected =
      next === ''
        ? 'unexpected end of input'
        : `unexpected ${JSON.stringify(String.fromCodePoint(next.codePointAt(0) ?? 0))}`
    return new DataApiError({
      code: 'PGRST100',
      message: `"failed to parse ${what} (${this.text})" (line 1, column ${column})`,
      details: this.#expected.length === 0 ? unexpected : `${unexpected} expecting ${listed(this.#expected)}`,
    })
  }
}

function listed(words: readonly string[]): string {
  if (words.length <= 1) return words.join('')
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** The whole text by one rule; what is left over is a failure as well. */
export function parseAll<T>(
  text: string,
  what: string,
  rule: (cursor: Cursor) => T | undefined,
  columnsBefore?: number,
): T {
  const cursor = new Cursor(text, columnsBefore)
  const result = rule(cursor)
  if (result === undefined) throw cursor.failure(what)
  if (!cursor.isAtEnd) {
    cursor.expected('end of input')
    throw cursor.failure(what)
  }
  return result
}

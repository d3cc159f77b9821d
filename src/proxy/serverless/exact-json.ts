// JSON whose numbers may have more digits than a JavaScript number holds: those go on as they were written.

/** A number kept as its text; `JSON.stringify` writes it out again (proposal-json-parse-with-source, in Node since 21). */
export type RawNumber = { readonly rawJSON: string }

type SourceAware = {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}

const sourceAware = JSON as unknown as SourceAware

/** Throws SyntaxError, and RangeError where it is nested without end. */
export function parseExactJson(text: string): unknown {
  // Looking at each value costs twenty times the parsing.
  if (!/[\d.]{16}/.test(text)) return JSON.parse(text)
  return sourceAware.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? sourceAware.rawJSON(source) : value,
  )
}

export function isRawNumber(value: unknown): value is RawNumber {
  return sourceAware.isRawJSON(value)
}

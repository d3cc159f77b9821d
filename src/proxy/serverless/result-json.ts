// Writes results as the JSON that Neon's driver reads, row by row as they come, up to a limit.
//
// The status of an answer is known only when its last row is there, so an answer is kept until then: as bytes, outside of the heap.

import { readCommandTag, type Field } from './row-messages.ts'
import { SqlHttpError } from './sql-answer.ts'
import { valueJson } from './value-json.ts'

export const longestResponse = 10 * 1024 * 1024

const chunkLength = 65_536

export function tooLarge(): SqlHttpError {
  return new SqlHttpError(507, `response is too large (max is ${longestResponse} bytes)`)
}

export class ResultJson {
  readonly #rawText: boolean
  readonly #chunks: Buffer[] = []
  #length = 0
  #pending = ''
  #fields: readonly Field[] = []
  /** What stands before each value of a row: nothing, or its name. */
  #keys: readonly string[] = []
  #arrayMode = true
  #rows = 0

  constructor(rawText: boolean) {
    this.#rawText = rawText
  }

  /** Bytes that may still be written. */
  get room(): number {
    return longestResponse - this.#length - this.#pending.length
  }

  /** Text between results. */
  write(text: string): void {
    this.#pending += text
    if (this.#pending.length >= chunkLength) this.#flush()
  }

  begin(fields: readonly Field[], arrayMode: boolean): void {
    this.#fields = fields
    this.#arrayMode = arrayMode
    this.#keys = arrayMode ? [] : fields.map(({ name }) => `${JSON.stringify(name)}:`)
    this.#rows = 0
    this.write(`{"fields":[${fields.map(fieldJson).join(',')}],"rows":[`)
  }

  row(values: readonly (string | null)[]): void {
    const parts = values.map((value, at) => (this.#keys[at] ?? '') + this.#value(value, at))
    const row = parts.join(',')
    this.write(`${this.#rows++ > 0 ? ',' : ''}${this.#arrayMode ? `[${row}]` : `{${row}}`}`)
  }

  end(tag: string): void {
    const { command, rowCount } = readCommandTag(tag)
    const end = JSON.stringify({ command, rowCount, rowAsArray: this.#arrayMode })
    this.write(`],${end.slice(1)}`)
  }

  finish(): Buffer[] {
    this.#flush()
    return this.#chunks
  }

  #value(value: string | null, at: number): string {
    if (value === null) return 'null'
    if (this.#rawText) return JSON.stringify(value)
    try {
      return valueJson(value, this.#fields[at]?.dataTypeId ?? 0)
    } catch {
      throw new SqlHttpError(500, 'could not parse postgres response')
    }
  }

  #flush(): void {
    if (this.#pending === '') return
    const chunk = Buffer.from(this.#pending)
    this.#pending = ''
    this.#length += chunk.length
    if (this.#length > longestResponse) throw tooLarge()
    this.#chunks.push(chunk)
  }
}

function fieldJson(field: Field): string {
  return JSON.stringify({
    name: field.name,
    dataTypeID: field.dataTypeId,
    tableID: field.tableId,
    columnID: field.columnId,
    dataTypeSize: field.dataTypeSize,
    dataTypeModifier: field.dataTypeModifier,
    format: 'text',
  })
}

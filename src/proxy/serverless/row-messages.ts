// Rows as a server sends them: their description, then one message a row.

import { ProtocolError } from '../../pgwire/protocol-error.ts'

export type Field = {
  name: string
  tableId: number
  columnId: number
  dataTypeId: number
  dataTypeSize: number
  dataTypeModifier: number
}

const fixedFieldLength = 18

export function readRowDescription(body: Buffer): Field[] {
  const fields: Field[] = []
  const count = body.length < 2 ? 0 : body.readUInt16BE(0)
  let at = 2
  for (let n = 0; n < count; n++) {
    const end = body.indexOf(0, at)
    if (end < 0 || body.length < end + 1 + fixedFieldLength) throw new ProtocolError('RowDescription is too short')
    const rest = end + 1
    fields.push({
      name: body.toString('utf8', at, end),
      tableId: body.readUInt32BE(rest),
      columnId: body.readInt16BE(rest + 4),
      dataTypeId: body.readUInt32BE(rest + 6),
      dataTypeSize: body.readInt16BE(rest + 10),
      dataTypeModifier: body.readInt32BE(rest + 12),
    })
    at = rest + fixedFieldLength
  }
  return fields
}

/** Values as text; null is NULL. */
export function readDataRow(body: Buffer): (string | null)[] {
  const values: (string | null)[] = []
  const count = body.length < 2 ? 0 : body.readUInt16BE(0)
  let at = 2
  for (let n = 0; n < count; n++) {
    if (body.length < at + 4) throw new ProtocolError('DataRow is too short')
    const length = body.readInt32BE(at)
    at += 4
    if (length < 0) {
      values.push(null)
      continue
    }
    if (body.length < at + length) throw new ProtocolError('DataRow is too short')
    values.push(body.toString('utf8', at, at + length))
    at += length
  }
  return values
}

/** Of a command tag: `INSERT 0 5`, `SELECT 3`, `CREATE TABLE`. */
export function readCommandTag(tag: string): { command: string; rowCount: number | null } {
  const words = tag.split(' ')
  const last = words.at(-1) ?? ''
  return { command: words[0] ?? '', rowCount: /^\d+$/.test(last) ? Number(last) : null }
}

// What a client sends to have a statement run by the extended protocol: unnamed, with everything as text.

import { cString, int32, writeMessage } from '../../pgwire/message.ts'

export type Statement = {
  sql: string
  /** null is NULL. Postgres decides what types they are of. */
  params: readonly (string | null)[]
}

/** Sync ends the pipeline: Postgres answers what it has done and is ready for the next one. */
export function writePipeline(statements: readonly Statement[]): Buffer {
  return Buffer.concat([...statements.flatMap(statementMessages), writeMessage('S')])
}

export function writeSimpleQuery(sql: string): Buffer {
  return writeMessage('Q', cString(sql))
}

function statementMessages({ sql, params }: Statement): Buffer[] {
  const values = params.flatMap((param) => {
    if (param === null) return [int32(-1)]
    const bytes = Buffer.from(param)
    return [int32(bytes.length), bytes]
  })
  const unnamed = Buffer.of(0)
  return [
    writeMessage('P', unnamed, cString(sql), int16(0)),
    // Format codes: none, all is text.
    writeMessage('B', unnamed, unnamed, int16(0), int16(params.length), ...values, int16(0)),
    writeMessage('D', Buffer.from('P'), unnamed),
    writeMessage('E', unnamed, int32(0)),
  ]
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value, 0)
  return bytes
}

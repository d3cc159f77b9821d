// The fields of ErrorResponse and NoticeResponse (protocol documentation, "Error and Notice Message Fields").

import { ProtocolError } from './protocol-error.ts'
import { cString, writeMessage } from './message.ts'

export type ErrorFields = {
  severity: 'ERROR' | 'FATAL' | 'PANIC' | 'WARNING'
  sqlState: string
  message: string
  detail?: string | undefined
  hint?: string | undefined
}

export function writeErrorResponse(fields: ErrorFields): Buffer {
  return writeFields('E', fields)
}

/** A NoticeResponse: the session goes on as it was. */
export function writeWarning(message: string): Buffer {
  return writeFields('N', { severity: 'WARNING', sqlState: '01000', message })
}

function writeFields(type: string, fields: ErrorFields): Buffer {
  const parts: Buffer[] = []
  const field = (type: string, value: string | undefined): void => {
    // An empty field is left out: libpq prints it as an empty DETAIL line.
    if (value) parts.push(Buffer.from(type, 'latin1'), cString(value))
  }
  field('S', fields.severity)
  field('V', fields.severity)
  field('C', fields.sqlState)
  field('M', fields.message)
  field('D', fields.detail)
  field('H', fields.hint)
  parts.push(Buffer.of(0))
  return writeMessage(type, ...parts)
}

/** All fields of an ErrorResponse's body by their type letter. */
export function readErrorFields(body: Buffer): Map<string, string> {
  const fields = new Map<string, string>()
  let at = 0
  while (at < body.length && body[at] !== 0) {
    const type = String.fromCharCode(body[at] ?? 0)
    const end = body.indexOf(0, at + 1)
    if (end < 0) throw new ProtocolError('error field lacks its final NUL')
    fields.set(type, body.toString('utf8', at + 1, end))
    at = end + 1
  }
  if (at >= body.length) throw new ProtocolError('error response lacks its final NUL')
  return fields
}

export function sqlStateOf(body: Buffer): string {
  return readErrorFields(body).get('C') ?? ''
}

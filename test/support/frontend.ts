// What a client says after its login, message by message (protocol documentation, "Message Formats").

import { cString, int32, writeMessage } from '../../src/pgwire/message.ts'

export type Value = string | Buffer | null

const int16 = (value: number): Buffer => Buffer.of((value >> 8) & 0xff, value & 0xff)
const list = <T>(items: readonly T[], write: (item: T) => Buffer): Buffer =>
  Buffer.concat([int16(items.length), ...items.map(write)])
const value = (item: Value): Buffer => {
  if (item === null) return int32(-1)
  const bytes = Buffer.from(item)
  return Buffer.concat([int32(bytes.length), bytes])
}

export const query = (sql: string): Buffer => writeMessage('Q', cString(sql))

export const parse = (sql: string, { name = '', types = [] as readonly number[] } = {}): Buffer =>
  writeMessage('P', cString(name), cString(sql), list(types, int32))

type Bind = { portal?: string; statement?: string; formats?: readonly number[]; results?: readonly number[] }

export const bind = (values: readonly Value[] = [], options: Bind = {}): Buffer => {
  const { portal = '', statement = '', formats = [], results = [] } = options
  return writeMessage(
    'B',
    cString(portal),
    cString(statement),
    list(formats, int16),
    list(values, value),
    list(results, int16),
  )
}

export const describe = (kind: 'S' | 'P', name = ''): Buffer => writeMessage('D', Buffer.from(kind), cString(name))

export const execute = ({ portal = '', rows = 0 } = {}): Buffer => writeMessage('E', cString(portal), int32(rows))

export const close = (kind: 'S' | 'P', name = ''): Buffer => writeMessage('C', Buffer.from(kind), cString(name))

export const sync = (): Buffer => writeMessage('S')

export const flush = (): Buffer => writeMessage('H')

export const copyData = (data: string | Buffer): Buffer => writeMessage('d', Buffer.from(data))

export const copyDone = (): Buffer => writeMessage('c')

export const copyFail = (why: string): Buffer => writeMessage('f', cString(why))

/** Everything in binary. */
export const callFunction = (oid: number, values: readonly Value[]): Buffer =>
  writeMessage('F', int32(oid), list([1], int16), list(values, value), int16(1))

/** A statement without a name, from Parse to Execute. */
export const run = (sql: string, values: readonly Value[] = [], options: Bind = {}): Buffer =>
  Buffer.concat([parse(sql), bind(values, options), describe('P'), execute()])

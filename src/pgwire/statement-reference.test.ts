import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cString, writeMessage } from './message.ts'
import { readStatementReference } from './statement-reference.ts'

const messages: [what: string, message: Buffer, name: string | undefined][] = [
  ['Parse', writeMessage('P', cString('one'), cString('select 1'), Buffer.alloc(2)), 'one'],
  ['Parse, unnamed', writeMessage('P', cString(''), cString('select 1'), Buffer.alloc(2)), undefined],
  ['Bind', writeMessage('B', cString('portal'), cString('one'), Buffer.alloc(6)), 'one'],
  ['Bind, unnamed', writeMessage('B', cString('portal'), cString(''), Buffer.alloc(6)), undefined],
  ['Describe of a statement', writeMessage('D', Buffer.from('S'), cString('one')), 'one'],
  ['Describe of a portal', writeMessage('D', Buffer.from('P'), cString('one')), undefined],
  ['Close', writeMessage('C', Buffer.from('S'), cString('one')), 'one'],
  ['Close, unnamed', writeMessage('C', Buffer.from('S'), cString('')), undefined],
]

for (const [what, message, name] of messages) {
  test(`${what}: the name is found wherever the message lies, and not before it is there`, () => {
    const before = Buffer.from('Q\0\0\0\x05\0', 'latin1')
    const bytes = Buffer.concat([before, message, before])
    const at = before.length
    const found = readStatementReference(bytes, at, at + message.length)
    if (name === undefined) assert.equal(found, 'none')
    else {
      assert.ok(typeof found === 'object')
      assert.equal(found.name, name)
      assert.equal(bytes.toString('latin1', found.start, found.end), name)
      for (let there = at + 5; there <= found.end; there++) {
        assert.equal(readStatementReference(bytes.subarray(0, there), at, there), 'incomplete', String(there - at))
      }
    }
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cString, writeMessage } from '../pgwire/message.ts'
import { RefusedRequests } from './refused-requests.ts'

const error = writeMessage('E', cString('no'))

/** The types of what is answered, and what becomes of it, however the bytes are cut up. */
function answers(...messages: Buffer[]): { types: string; atRest: boolean; isOver: boolean } {
  const bytes = Buffer.concat(messages)
  const outcomes = [bytes.length, 1, 3, 7].map((size) => {
    const refused = new RefusedRequests(error)
    let types = ''
    let over = false
    for (let at = 0; at < bytes.length && !over; at += size) {
      const { answer, isOver } = refused.push(bytes.subarray(at, at + size))
      for (let from = 0; from < answer.length; from += answer.readUInt32BE(from + 1) + 1) {
        types += String.fromCharCode(answer[from] ?? 0)
      }
      over = isOver
    }
    return { types, atRest: refused.atRest, isOver: over }
  })
  for (const outcome of outcomes) assert.deepEqual(outcome, outcomes[0])
  assert.ok(outcomes[0])
  return outcomes[0]
}

const query = writeMessage('Q', cString('select 1'))
const [parse, bind, execute] = ['P', 'B', 'E'].map((type) => writeMessage(type, Buffer.from('anything'))) as [
  Buffer,
  Buffer,
  Buffer,
]
const sync = writeMessage('S')

test('a simple query is an error and a session that is ready', () => {
  assert.deepEqual(answers(query), { types: 'EZ', atRest: true, isOver: false })
  assert.deepEqual(answers(query, query), { types: 'EZEZ', atRest: true, isOver: false })
})

test('of the extended protocol one error is said, and all is passed over until the Sync', () => {
  assert.deepEqual(answers(parse, bind, execute, sync), { types: 'EZ', atRest: true, isOver: false })
  assert.deepEqual(answers(parse, writeMessage('H')), { types: 'E', atRest: false, isOver: false })
  assert.deepEqual(answers(parse, sync, parse, sync), { types: 'EZEZ', atRest: true, isOver: false })
})

test('a Sync alone asks for nothing that is refused', () => {
  assert.deepEqual(answers(sync), { types: 'Z', atRest: true, isOver: false })
})

test('half a request is waited for', () => {
  assert.equal(answers(query.subarray(0, 3)).atRest, false)
  assert.equal(answers(query.subarray(0, 9)).atRest, false)
  assert.equal(answers(query.subarray(0, 9)).types, '')
})

test('a goodbye, an unknown message and an impossible length end it', () => {
  assert.equal(answers(query, writeMessage('X')).isOver, true)
  assert.equal(answers(writeMessage('!')).isOver, true)
  assert.equal(answers(Buffer.from([0x51, 0, 0, 0, 1])).isOver, true)
})

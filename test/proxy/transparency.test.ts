// What a client reads through the proxy is, byte for byte, what it would read from Postgres: every session of the corpus is played by the
// compute's own socket and through each way of the proxy, whole and cut into small pieces.
//
// Left out of the comparison is what no two sessions have in common: process ids in notifications, and the ids of tables that a session makes.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Message } from '../../src/pgwire/message.ts'
import { directAddress, proxyAddress } from '../support/addresses.ts'
import { makeProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { Recording } from '../support/recording.ts'
import { startServer, type TestServer } from '../support/server.ts'
import type { Address } from '../support/wire-session.ts'
import { corpus } from './corpus.ts'

const ways = ['plain', 'TLS', 'pooled'] as const

let server: TestServer
let direct: Address
const addresses = new Map<(typeof ways)[number], Address>()

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  const project = await makeProject(server)
  await query(
    project.uri,
    `create table kept (id int primary key, what text not null default 'x');
     insert into kept select i, 'row ' || i from generate_series(1, 20) i;
     create table child (id int references kept deferrable initially deferred);
     create table copied (id int primary key, what text)`,
  )
  direct = await directAddress(server, project)
  addresses.set('plain', proxyAddress(server, project, { pooled: false, tls: false }))
  addresses.set('TLS', proxyAddress(server, project, { pooled: false, tls: true }))
  addresses.set('pooled', proxyAddress(server, project, { pooled: true, tls: false }))
})
after(() => server?.[Symbol.asyncDispose]())

for (const way of ways) {
  describe(way, () => {
    for (const { what, needsSession, play } of corpus) {
      if (needsSession && way === 'pooled') continue
      test(what, async () => {
        const expected = await record(direct, play)
        assert.notEqual(expected.length, 0)
        const address = addresses.get(way)
        assert.ok(address)
        assertSame(await record(address, play), expected)
        assertSame(await record(address, play, 3), expected)
      })
    }
  })
}

async function record(
  address: Address,
  play: (session: Recording) => Promise<void>,
  pieceBytes = 0,
): Promise<Message[]> {
  const session = await Recording.open(address, pieceBytes)
  try {
    await play(session)
    const rest = await session.end()
    assert.equal(rest.length, 0, 'half a message came last')
    return session.messages.map(withoutIdentity)
  } finally {
    session.destroy()
  }
}

/** Says where they part, and not all that tens of thousands of rows have in common. */
function assertSame(actual: readonly Message[], expected: readonly Message[]): void {
  const longer = actual.length > expected.length ? actual : expected
  const at = longer.findIndex((_, index) => !isSame(actual[index], expected[index]))
  if (at < 0) return
  const around = (messages: readonly Message[]): string[] => messages.slice(Math.max(0, at - 2), at + 5).map(legible)
  assert.deepEqual(around(actual), around(expected), `the sessions part at message ${at}`)
  assert.fail(`message ${at} of ${legible(expected[at])} is another one`)
}

const isSame = (one: Message | undefined, other: Message | undefined): boolean =>
  one !== undefined && other !== undefined && one.type === other.type && one.body.equals(other.body)

const legible = (message: Message | undefined): string =>
  message === undefined
    ? 'nothing'
    : `${message.type} ${message.body.length} ${message.body.toString('latin1', 0, 300)}`

const firstIdOfTenants = 16_384

function withoutIdentity({ type, body }: Message): Message {
  if (type === 'A') body.writeInt32BE(0, 0)
  if (type === 'T') {
    let at = 2
    for (let column = body.readInt16BE(0); column > 0; column--) {
      at = body.indexOf(0, at) + 1
      if (body.readUInt32BE(at) >= firstIdOfTenants) body.writeInt32BE(0, at)
      at += 18
    }
  }
  return { type, body }
}

// Our two sides of SCRAM with each other, and the server's side with everybody else.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ProtocolError } from './protocol-error.ts'
import { ScramClient } from './scram-client.ts'
import { deriveKeys, hmacSha256, opens, sha256, type ScramKeys } from './scram-keys.ts'
import { scramMechanism, scramPlusMechanism, ScramServer } from './scram-server.ts'
import { makeVerifier, parseVerifier, type ScramVerifier } from './scram-verifier.ts'
import { anyBytes, damaged, readOrRefused } from './test-support/hostile.ts'

const numRuns = 300

// What stretches a password is not what is tested here.
const iterations = 2
const verifierOf = async (password: string): Promise<ScramVerifier> =>
  parseVerifier(await makeVerifier(password, { iterations }))

const password = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.string({
    unit: fc.constantFrom('a', '\u00a0', '\u00ad', '\u2168', 'é', 'e\u0301', '\u{1f511}', '\u0627', '\u0007'),
  }),
  fc.string({ minLength: 100, maxLength: 1000 }),
)
const channel = fc.uint8Array({ minLength: 32, maxLength: 64 }).map((bytes) => Buffer.from(bytes))
const keysOf = (secret: string, { salt, iterations: rounds }: ScramVerifier): Promise<ScramKeys> =>
  deriveKeys(secret, salt, rounds)

/** A client that does what ours has no need of: bind a channel, name a user, say anything in place of the right thing. */
function clientFinal(
  keys: ScramKeys,
  exchange: { gs2: string; bare: string; serverFirst: string; bound?: Buffer | undefined; extension?: string },
): string {
  const { gs2, bare, serverFirst, bound = Buffer.alloc(0), extension = '' } = exchange
  const nonce = /^r=([^,]+)/.exec(serverFirst)?.[1] ?? ''
  const withoutProof = `c=${Buffer.concat([Buffer.from(gs2), bound]).toString('base64')},r=${nonce}${extension}`
  const signature = hmacSha256(sha256(keys.clientKey), `${bare},${serverFirst},${withoutProof}`)
  const proof = Buffer.from(keys.clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)))
  return `${withoutProof},p=${proof.toString('base64')}`
}

test('any password logs in, and so do the keys that it yielded', async () => {
  await fc.assert(
    fc.asyncProperty(password, fc.option(channel, { nil: undefined }), async (secret, binding) => {
      const verifier = await verifierOf(secret)
      const logIn = async (client: ScramClient): Promise<ScramKeys> => {
        // Our client does not bind, and says so: allowed also where it could have.
        const server = new ScramServer(verifier, binding)
        const outcome = server.final(await client.final(server.first(scramMechanism, client.first())))
        assert.ok(outcome)
        client.verify(outcome.serverFinal)
        return outcome.keys
      }
      const keys = await logIn(new ScramClient(secret))
      assert.ok(opens(keys, verifier))
      assert.deepEqual(await logIn(new ScramClient(keys)), keys)
    }),
    { numRuns },
  )
})

test('a wrong password is no login', async () => {
  await fc.assert(
    fc.asyncProperty(password, password, async (right, wrong) => {
      const verifier = await verifierOf(right)
      // Different texts may be prepared into the same password.
      fc.pre(!opens(await keysOf(wrong, verifier), verifier))
      const server = new ScramServer(verifier, undefined)
      const client = new ScramClient(wrong)
      assert.equal(server.final(await client.final(server.first(scramMechanism, client.first()))), undefined)
    }),
    { numRuns },
  )
})

test('a bound channel is that channel and no other', async () => {
  await fc.assert(
    fc.asyncProperty(password, channel, channel, async (secret, ours, theirs) => {
      const verifier = await verifierOf(secret)
      const keys = await keysOf(secret, verifier)
      const gs2 = 'p=tls-server-end-point,,'
      const bare = 'n=,r=nonce'
      const logIn = (bound: Buffer): unknown => {
        const server = new ScramServer(verifier, ours)
        const serverFirst = server.first(scramPlusMechanism, `${gs2}${bare}`)
        return server.final(clientFinal(keys, { gs2, bare, serverFirst, bound }))
      }
      assert.ok(logIn(ours))
      if (!theirs.equals(ours)) assert.throws(() => logIn(theirs), ProtocolError)
      assert.throws(() => logIn(Buffer.alloc(0)), ProtocolError)
    }),
    { numRuns },
  )
})

test('names and extensions inside the exchange are signed as they came, in whatever script', async () => {
  const inner = fc
    .string({ unit: 'binary', maxLength: 20 })
    .map((value) => value.replaceAll(/[,=\0\n\r\u2028\u2029]/g, ''))
  const verifier = await verifierOf('secret')
  const keys = await keysOf('secret', verifier)
  fc.assert(
    fc.property(inner, inner, (user, extra) => {
      const bare = `n=${user},r=nonce`
      const server = new ScramServer(verifier, undefined)
      const serverFirst = server.first(scramMechanism, `n,,${bare}`)
      assert.ok(server.final(clientFinal(keys, { gs2: 'n,,', bare, serverFirst, extension: `,x=${extra}` })))
    }),
    { numRuns },
  )
})

const refusedFirsts: [why: string, mechanism: string, clientFirst: string, bound: boolean][] = [
  ['a client that believes we cannot bind, where we offered it', scramMechanism, 'y,,n=,r=nonce', true],
  ['a binding of another kind', scramPlusMechanism, 'p=tls-unique,,n=,r=nonce', true],
  ['PLUS without a binding', scramPlusMechanism, 'n,,n=,r=nonce', true],
  ['PLUS by a client that believes we cannot', scramPlusMechanism, 'y,,n=,r=nonce', true],
  ['a binding without PLUS', scramMechanism, 'p=tls-server-end-point,,n=,r=nonce', true],
  ['PLUS where it was not offered', scramPlusMechanism, 'p=tls-server-end-point,,n=,r=nonce', false],
  ['another mechanism', 'SCRAM-SHA-1', 'n,,n=,r=nonce', false],
  ['no mechanism', '', 'n,,n=,r=nonce', false],
  ['an extension that must be understood', scramMechanism, 'n,,m=x,n=,r=nonce', false],
  ['no nonce', scramMechanism, 'n,,n=,r=', false],
  ['nothing', scramMechanism, '', false],
]
for (const [why, mechanism, clientFirst, bound] of refusedFirsts) {
  test(`refused: ${why}`, async () => {
    const server = new ScramServer(await verifierOf('secret'), bound ? Buffer.alloc(32, 1) : undefined)
    assert.throws(() => server.first(mechanism, clientFirst), ProtocolError)
  })
}

test('a client that believes we cannot bind is right where we did not offer it', async () => {
  const verifier = await verifierOf('secret')
  const server = new ScramServer(verifier, undefined)
  const bare = 'n=,r=nonce'
  const serverFirst = server.first(scramMechanism, `y,,${bare}`)
  const keys = await keysOf('secret', verifier)
  assert.ok(server.final(clientFinal(keys, { gs2: 'y,,', bare, serverFirst })))
})

test('what the flag said first has to be said again', async () => {
  const verifier = await verifierOf('secret')
  const keys = await keysOf('secret', verifier)
  const bare = 'n=,r=nonce'
  for (const [first, again] of [
    ['n,,', 'y,,'],
    ['y,,', 'n,,'],
    ['n,,', 'p=tls-server-end-point,,'],
  ] as const) {
    const server = new ScramServer(verifier, undefined)
    const serverFirst = server.first(scramMechanism, `${first}${bare}`)
    assert.throws(() => server.final(clientFinal(keys, { gs2: again, bare, serverFirst })), ProtocolError)
  }
})

test('a final message with any change in it is no login', async () => {
  const verifier = await verifierOf('secret')
  const change = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 127 }) })
  await fc.assert(
    fc.asyncProperty(change, async ({ at, flip }) => {
      const server = new ScramServer(verifier, undefined)
      const client = new ScramClient('secret')
      const bytes = Buffer.from(await client.final(server.first(scramMechanism, client.first())))
      const where = at % bytes.length
      bytes[where] = (bytes[where] ?? 0) ^ flip
      const tampered = bytes.toString('latin1')
      const outcome = readOrRefused(() => server.final(tampered))
      // The last digit of a base64 text has bits that mean nothing, and only those may differ.
      if (outcome) assert.ok(where === bytes.length - 2, tampered)
    }),
    { numRuns },
  )
})

test('a message that somebody has changed on its way is no login', async () => {
  const verifier = await verifierOf('secret')
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('first', 'challenge'), fc.nat(), async (which, at) => {
      const flipped = (message: string): string => {
        const bytes = Buffer.from(message)
        const where = at % bytes.length
        bytes[where] = (bytes[where] ?? 0) ^ 1
        return bytes.toString('latin1')
      }
      const server = new ScramServer(verifier, undefined)
      const client = new ScramClient('secret')
      const first = which === 'first' ? flipped(client.first()) : client.first()
      const challenge = readOrRefused(() => server.first(scramMechanism, first))
      if (challenge === undefined) return
      const final = await client
        .final(which === 'challenge' ? flipped(challenge) : challenge)
        .catch((error: unknown) => {
          assert.ok(error instanceof ProtocolError)
          return undefined
        })
      if (final !== undefined)
        assert.equal(
          readOrRefused(() => server.final(final)),
          undefined,
        )
    }),
    { numRuns },
  )
})

test('a final message of another exchange is refused', async () => {
  const verifier = await verifierOf('secret')
  const client = new ScramClient('secret')
  const overheard = await client.final(new ScramServer(verifier, undefined).first(scramMechanism, client.first()))
  const server = new ScramServer(verifier, undefined)
  server.first(scramMechanism, client.first())
  assert.throws(() => server.final(overheard), ProtocolError)
  assert.throws(() => new ScramServer(verifier, undefined).final(overheard), ProtocolError)
})

test('any text is answered or refused', async () => {
  const verifier = await verifierOf('secret')
  const first = fc.constantFrom('n,,n=,r=nonce', 'y,a=b,n=c,r=nonce,x=y', 'p=tls-server-end-point,,n=,r=nonce')
  const final = fc.constantFrom(`c=biws,r=noncenonce,p=${randomBytes(32).toString('base64')}`, 'c=,r=,p=')
  const latin1 = (valid: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.oneof(anyBytes(100), damaged(valid.map((value) => Buffer.from(value)))).map((bytes) => bytes.toString('latin1'))
  const mechanism = fc.constantFrom(scramMechanism, scramPlusMechanism, 'x')
  fc.assert(
    fc.property(mechanism, latin1(first), latin1(final), fc.boolean(), (name, one, two, bound) => {
      const server = new ScramServer(verifier, bound ? Buffer.alloc(32) : undefined, 'nonce')
      readOrRefused(() => server.first(name, one))
      assert.equal(
        readOrRefused(() => server.final(two)),
        undefined,
      )
    }),
    { numRuns: 3000 },
  )
})

test('texts that lead a pattern astray are done with at once', async () => {
  const server = new ScramServer(await verifierOf('secret'), undefined, 'nonce')
  const size = 200_000
  for (const text of ['n,a=', 'n,,n=', 'n,,n=,r=a', 'p=', 'c=', 'c=AA,r=', 'c=AA,r=a,p=']) {
    for (const unit of ['a', ',', 'a,', '=', ',r=a', ',p=A', '\n', ',x=']) {
      readOrRefused(() => server.first(scramMechanism, `${text}${unit.repeat(size / unit.length)}`))
      readOrRefused(() => server.final(`${text}${unit.repeat(size / unit.length)}`))
    }
  }
})

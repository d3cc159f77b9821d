import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ProtocolError } from './protocol-error.ts'
import { saslPrep } from './saslprep.ts'
import { ScramClient } from './scram-client.ts'

// The exchange of RFC 7677 §3, which names its user; Postgres' does not, so only its nonces, salt and keys can be reused. Checked
// against a real Postgres in proxy/session.test.ts.
const serverFirst = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'

test('the proof is deterministic and the server has to prove itself', async () => {
  const client = new ScramClient('pencil', 'rOprNGfwEbeRWgbNEkqO')
  assert.equal(client.first(), 'n,,n=,r=rOprNGfwEbeRWgbNEkqO')
  const final = await client.final(serverFirst)
  assert.match(final, /^c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj\)hNlF\$k0,p=[A-Za-z0-9+/]{43}=$/)
  assert.throws(() => client.verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='), ProtocolError)
  assert.throws(() => client.verify('e=other-error'), ProtocolError)
})

test('a server that repeats our nonce, or asks for endless work, is refused', async () => {
  const client = new ScramClient('pencil', 'abc')
  await assert.rejects(client.final('r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'), ProtocolError)
  await assert.rejects(client.final('r=xyz1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'), ProtocolError)
  await assert.rejects(client.final('r=abc1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999'), ProtocolError)
  await assert.rejects(client.final('r=abc1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0'), ProtocolError)
})

test('any server text is answered or refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => {
      const client = new ScramClient('pencil', 'abc')
      await assert.rejects(client.final(`r=abc${text}`), ProtocolError)
      assert.throws(() => client.verify(text), ProtocolError)
    }),
    { numRuns: 50 },
  )
})

test('passwords are prepared, or used as they are', () => {
  assert.equal(saslPrep('plain\t'), 'plain\t')
  assert.equal(saslPrep('I\u00adX\u00e9'), 'IX\u00e9')
  assert.equal(saslPrep('\u2168'), 'IX')
  assert.equal(saslPrep('a\u00a0b'), 'a b')
  assert.equal(saslPrep('\u00aa\u0007'), '\u00aa\u0007')
  assert.equal(saslPrep('\u00ad'), '\u00ad')
  assert.equal(saslPrep('\u2168\u{1f511}'), '\u2168\u{1f511}')
})

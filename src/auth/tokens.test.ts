import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose'
import type { SigningKey } from '../model/auth-target.ts'
import { publicKeySet, signToken, verifyToken } from './tokens.ts'

const reader = { issuer: 'http://a.example', audience: 'http://a.example' }
const claims = { sub: 'someone', iss: reader.issuer, aud: reader.audience, role: 'authenticated' }

async function makeKey(createdAt = 1): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return {
    kid: randomUUID(),
    publicJwk: { ...(await exportJWK(publicKey)) },
    privateJwk: { ...(await exportJWK(privateKey)) },
    createdAt,
  }
}

test('a token is believed by the integration whose newest key signed it', async () => {
  const older = await makeKey(1)
  const newer = await makeKey(2)
  const token = await signToken({ signingKeys: [older, newer] }, claims, 60)
  assert.equal((await verifyToken({ signingKeys: [newer, older] }, token, reader))?.sub, 'someone')
  assert.equal(await verifyToken({ signingKeys: [older] }, token, reader), undefined, 'signed by the newer one')
  const before = await signToken({ signingKeys: [older] }, claims, 60)
  assert.ok(await verifyToken({ signingKeys: [older, newer] }, before, reader), 'an older key still verifies')
})

test('nobody else’s token is believed', async () => {
  const mine = { signingKeys: [await makeKey()] }
  const kid = mine.signingKeys[0]!.kid
  const theirs = await makeKey()
  const others = {
    'another integration’s': await signToken({ signingKeys: [theirs] }, claims, 60),
    'another key under our id': await signToken({ signingKeys: [{ ...theirs, kid }] }, claims, 60),
    expired: await signToken(mine, claims, -60),
    'for someone else': await signToken(mine, { ...claims, aud: 'http://b.example' }, 60),
    'from someone else': await signToken(mine, { ...claims, iss: 'http://b.example' }, 60),
    'of nobody': await signToken(mine, { ...claims, sub: undefined }, 60),
    unsigned: `${part({ alg: 'none', kid })}.${part({ ...claims, iat: now(), exp: now() + 60 })}.`,
    'signed with the public key as a secret': hmacToken(kid, String(mine.signingKeys[0]!.publicJwk['x'])),
    'without a key id': await new SignJWT({ ...claims, iat: now(), exp: now() + 60 })
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(await importJWK({ ...mine.signingKeys[0]!.privateJwk }, 'EdDSA')),
    nonsense: 'a.b.c',
  }
  for (const [whose, token] of Object.entries(others))
    assert.equal(await verifyToken(mine, token, reader), undefined, whose)
})

test('the key set has no private part', async () => {
  const key = await makeKey()
  const { keys } = publicKeySet({ signingKeys: [{ ...key, publicJwk: key.privateJwk }] })
  assert.deepEqual(Object.keys(keys[0]!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
})

const now = (): number => Math.floor(Date.now() / 1000)
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function hmacToken(kid: string, x: string): string {
  const input = `${part({ alg: 'HS256', kid })}.${part({ ...claims, iat: now(), exp: now() + 60 })}`
  const mac = createHmac('sha256', Buffer.from(x, 'base64url')).update(input).digest('base64url')
  return `${input}.${mac}`
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { assertSecret, keysOfSecret } from './secret.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const text = 'a secret of thirty-two characters'

async function verifies(secret: string, isBase64: boolean, token: string): Promise<boolean> {
  const keys = keysOfSecret(secret, isBase64)
  assert.ok(keys)
  return await jwtVerify(token, keys).then(
    () => true,
    () => false,
  )
}

test('a text is a secret by its bytes, or by those that it stands for', async () => {
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(text))
  assert.equal(await verifies(text, false, token), true)
  assert.equal(await verifies(base64(text), true, token), true)
  assert.equal(await verifies(base64(text), false, token), false)
})

test('a public key in Base64 is a key, and no secret that everybody knows', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const key = JSON.stringify({ ...(await exportJWK(publicKey)), alg: 'ES256' })
  const signed = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  const forged = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(key))
  for (const [secret, isBase64] of [
    [key, false],
    [base64(key), true],
  ] as const) {
    assert.equal(await verifies(secret, isBase64, signed), true)
    assert.equal(await verifies(secret, isBase64, forged), false)
  }
})

test('what can be guessed is refused', () => {
  const tooShort = /32 characters/
  assert.throws(() => assertSecret('x'.repeat(31), false), tooShort)
  assert.throws(() => assertSecret(base64('x'.repeat(31)), true), tooShort)
  assert.throws(() => assertSecret('{"kty', false), tooShort)
  assert.throws(() => assertSecret(`@/${'x'.repeat(40)}`, false), /read from a file/)
  assert.doesNotThrow(() => assertSecret('x'.repeat(32), false))
  assert.doesNotThrow(() => assertSecret(base64('x'.repeat(32)), true))
  assert.doesNotThrow(() => assertSecret('{"keys":[]}', false))
  assert.doesNotThrow(() => assertSecret(undefined, false))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { makeVerifier, parseVerifier, randomSecretIterations, readVerifier } from './scram-verifier.ts'

test('the same password, salt and iterations make the same verifier', async () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
  // RFC 7677's example: user "user", password "pencil".
  const verifier = await makeVerifier('pencil', { iterations: 4096, salt })
  assert.equal(
    verifier,
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  )
})

test('a verifier reads back as what it was made of', async () => {
  const text = await makeVerifier('pässwörd', { iterations: randomSecretIterations })
  const verifier = parseVerifier(text)
  assert.equal(verifier.iterations, 1)
  assert.equal(verifier.salt.length, 16)
  assert.equal(await makeVerifier('pässwörd', verifier), text)
})

test('what is no verifier is refused without being repeated', () => {
  for (const text of ['', 'secret', 'md5c0ffee', 'SCRAM-SHA-256$4096:abc$x:y', "SCRAM-SHA-256$1:AA==$' OR 1=1:--"]) {
    assert.equal(readVerifier(text), undefined)
  }
  assert.throws(
    () => parseVerifier('hunter2'),
    (error) => isAppError(error, 'bad_request') && !error.message.includes('hunter2'),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { githubProfile, microsoftProfile, standardProfile } from './profile.ts'

const google = {
  sub: '1',
  email: 'Ada@Example.com',
  email_verified: true,
  name: 'Ada',
  picture: 'https://p.test/a.png',
}

test('an address counts as verified only where its provider says so', () => {
  assert.deepEqual(standardProfile(google), {
    subject: '1',
    email: 'ada@example.com',
    emailVerified: true,
    name: 'Ada',
    image: 'https://p.test/a.png',
  })
  for (const email_verified of [false, 'false', 0, null, undefined, 'yes', {}])
    assert.equal(standardProfile({ ...google, email_verified })?.emailVerified, false)
  assert.equal(standardProfile({ ...google, email: undefined })?.emailVerified, false)
})

test('what Microsoft says of an address is not believed but for its domain having been verified', () => {
  const claims = {
    sub: 's',
    oid: 'o',
    email: 'boss@victim.test',
    email_verified: true,
    verified_primary_email: ['boss@victim.test'],
  }
  assert.equal(microsoftProfile(claims)?.emailVerified, false)
  assert.equal(microsoftProfile({ ...claims, xms_edov: false })?.emailVerified, false)
  assert.equal(microsoftProfile({ ...claims, xms_edov: '0' })?.emailVerified, false)
  for (const xms_edov of [true, 1, '1', 'true'])
    assert.equal(microsoftProfile({ ...claims, xms_edov })?.emailVerified, true)
  // A name to sign in with is no address.
  assert.equal(microsoftProfile({ sub: 's', preferred_username: 'boss@victim.test', xms_edov: true })?.email, undefined)
})

test('GitHub: the verified primary address, else a verified one, else one that is not', () => {
  const user = { id: 583231, login: 'ada', name: null, email: 'public@victim.test', avatar_url: 'https://a.test/1' }
  const emails = [
    { email: 'other@example.com', primary: false, verified: true },
    { email: 'first@example.com', primary: true, verified: true },
  ]
  assert.deepEqual(githubProfile(user, emails), {
    subject: '583231',
    email: 'first@example.com',
    emailVerified: true,
    name: 'ada',
    image: 'https://a.test/1',
  })
  const unverified = [emails[0], { email: 'first@example.com', primary: true, verified: false }]
  assert.equal(githubProfile(user, unverified)?.email, 'other@example.com')
  assert.deepEqual(
    [undefined, {}, [], [{ email: 'x@victim.test', primary: true, verified: 'no' }]].map(
      (list) => githubProfile(user, list)?.emailVerified,
    ),
    [false, false, false, false],
  )
})

test('without a subject there is nobody, and what no column or mail should hold is left out', () => {
  for (const sub of [undefined, null, '', ' ', {}, 1.5, 'x'.repeat(300)])
    assert.equal(standardProfile({ ...google, sub }), undefined)
  const odd = standardProfile({ ...google, name: 'A\r\nBcc: x\u0000', picture: 'javascript:alert(1)', email: 'a@b@c' })
  assert.deepEqual([odd?.name, odd?.image, odd?.email], ['ABcc: x', undefined, undefined])
  for (const email of ['a b@c.test', '"x"@c.test', '<a@c.test>', '1234@none.invalid', 'a@c.test\n'])
    assert.notEqual(standardProfile({ ...google, email })?.email, email)
})

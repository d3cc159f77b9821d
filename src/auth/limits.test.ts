import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { AuthLimits } from './limits.ts'

const app = '11111111-1111-4111-8111-111111111111'
const otherApp = '22222222-2222-4222-8222-222222222222'
const here = '192.0.2.1'

function setUp({ countsAddresses = true } = {}) {
  let at = 1_000_000
  const limits = new AuthLimits({ countsAddresses, now: () => at })
  /** Seconds to wait; 0 where it was let through. */
  const refusalOf = (work: () => void): number => {
    try {
      work()
      return 0
    } catch (error) {
      assert.ok(isAppError(error, 'rate_limited'))
      assert.ok((error.retryAfterSeconds ?? 0) >= 1, 'who is refused hears when to come again')
      return error.retryAfterSeconds ?? 0
    }
  }
  const attempt = async (isRight: boolean, { account = 'owner@example.com', from = here, of = app } = {}) => {
    let asked = false
    try {
      await limits.attempt(of, account, from, async () => {
        asked = true
        return isRight
      })
      return isRight ? 'right' : 'wrong'
    } catch (error) {
      assert.ok(isAppError(error, 'rate_limited'))
      assert.equal(asked, false, 'nothing is tried out for whoever is refused')
      return 'refused'
    }
  }
  const wrongTimes = async (times: number, from = here): Promise<string[]> => {
    const outcomes: string[] = []
    for (let i = 0; i < times; i++) outcomes.push(await attempt(false, { from }))
    return outcomes
  }
  return { limits, refusalOf, attempt, wrongTimes, pass: (seconds: number) => void (at += seconds * 1000) }
}

const times = (count: number, work: () => number): number[] => Array.from({ length: count }, work)

test('an address may sign in so often, and again after a while', () => {
  const { limits, refusalOf, pass } = setUp()
  const signIn = (): number => refusalOf(() => limits.take(app, 'sign_in', here))
  assert.ok(times(15, signIn).every((wait) => wait === 0))
  assert.ok(times(10, signIn).every((wait) => wait > 0))
  pass(10)
  assert.deepEqual(
    times(4, signIn).map((wait) => wait === 0),
    [true, true, true, false],
  )
})

test('sending is bounded more tightly than the rest, reading less', () => {
  const { limits, refusalOf } = setUp()
  const passed = (['send', 'sign_in', 'write', 'read'] as const).map(
    (kind) => times(2000, () => refusalOf(() => limits.take(app, kind, here))).filter((wait) => wait === 0).length,
  )
  assert.deepEqual(passed, [5, 15, 100, 600])
})

test('other addresses and other apps have counts of their own', () => {
  const { limits, refusalOf } = setUp()
  times(20, () => refusalOf(() => limits.take(app, 'sign_in', here)))
  assert.equal(
    refusalOf(() => limits.take(app, 'sign_in', '192.0.2.2')),
    0,
  )
  assert.equal(
    refusalOf(() => limits.take(otherApp, 'sign_in', here)),
    0,
  )
  assert.notEqual(
    refusalOf(() => limits.take(app, 'sign_in', `::ffff:${here}`)),
    0,
    'the same address in its v6 writing',
  )
})

test('a /64 of v6 is one address, and a /48 not as many as it has', () => {
  const { limits, refusalOf } = setUp()
  const signIn = (address: string): number => refusalOf(() => limits.take(app, 'sign_in', address))
  const inOne = Array.from({ length: 20 }, (_, i) => signIn(`2a00:1:2:3::${i.toString(16)}`))
  assert.equal(inOne.filter((wait) => wait === 0).length, 15)
  const inWide = Array.from({ length: 2000 }, (_, i) => signIn(`2a00:1:9:${i.toString(16)}::1`))
  assert.equal(inWide.filter((wait) => wait === 0).length, 15 * 16)
})

test('a count is not got rid of by asking from elsewhere meanwhile', () => {
  const { limits, refusalOf } = setUp()
  times(20, () => refusalOf(() => limits.take(app, 'sign_in', here)))
  for (let i = 0; i < 150_000; i++) limits.take(app, 'read', `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  assert.notEqual(
    refusalOf(() => limits.take(app, 'sign_in', here)),
    0,
  )
})

test('where addresses are not counted, accounts and recipients are', async () => {
  const { limits, refusalOf, wrongTimes } = setUp({ countsAddresses: false })
  assert.ok(times(100, () => refusalOf(() => limits.take(app, 'send', here))).every((wait) => wait === 0))
  assert.equal(times(7, () => refusalOf(() => limits.takeRecipient(app, 'a@example.com'))).filter(Boolean).length, 2)
  assert.deepEqual((await wrongTimes(6)).at(-1), 'refused')
})

test('a recipient is one, however his address is written', () => {
  const { limits, refusalOf, pass } = setUp()
  for (const to of ['a@example.com', 'A@example.com', ' a@Example.com', 'ａ@example.com', 'a@EXAMPLE.com ']) {
    assert.equal(
      refusalOf(() => limits.takeRecipient(app, to)),
      0,
    )
  }
  const refused = (): number => refusalOf(() => limits.takeRecipient(app, 'a@example.com'))
  assert.ok(refused() > 60)
  pass(120)
  assert.equal(refused(), 0)
})

test('after five failures each further attempt waits, twice as long each time, and not for ever', async () => {
  const { attempt, wrongTimes, pass } = setUp()
  assert.deepEqual(await wrongTimes(6), ['wrong', 'wrong', 'wrong', 'wrong', 'wrong', 'refused'])
  for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
    pass(seconds - 0.5)
    assert.equal(await attempt(true), 'refused', `${seconds} s have not passed`)
    pass(0.5)
    assert.equal(await attempt(false), 'wrong')
  }
  pass(300)
  assert.equal(await attempt(true), 'right')
  assert.deepEqual((await wrongTimes(5)).at(-1), 'wrong', 'it begins anew after a success')
})

test('how the account is written, or whether it exists, makes no difference; another app does', async () => {
  const { attempt, wrongTimes } = setUp()
  await wrongTimes(5)
  assert.equal(await attempt(true, { account: ' OWNER@Example.com' }), 'refused')
  assert.equal(await attempt(true, { account: 'nobody@example.com' }), 'right')
  assert.equal(await attempt(true, { of: otherApp }), 'right')
})

test('whoever guesses keeps an owner out from where nobody has come in yet at most, and there for a minute', async () => {
  const { attempt, wrongTimes, pass } = setUp()
  const home = '198.51.100.7'
  assert.equal(await attempt(true, { from: home }), 'right')
  for (let i = 0; i < 40; i++) await wrongTimes(5, `192.0.2.${i}`)
  assert.equal(await attempt(true, { from: '192.0.2.200' }), 'refused', 'from everywhere together it is too much')
  assert.equal(await attempt(true, { from: home }), 'right')
  for (let i = 0; i < 40; i++) await wrongTimes(5, `192.0.2.${100 + i}`)
  pass(60)
  assert.equal(await attempt(true, { from: '192.0.2.200' }), 'right')
})

test('attempts at the same time do not all begin before the first has failed', async () => {
  const { limits } = setUp()
  const gate = Promise.withResolvers<boolean>()
  const all = Array.from({ length: 30 }, () => limits.attempt(app, 'owner@example.com', here, () => gate.promise))
  const refused = Promise.allSettled(all.slice(5))
  gate.resolve(false)
  assert.ok((await refused).every(({ status }) => status === 'rejected'))
  assert.deepEqual(await Promise.all(all.slice(0, 5)), Array(5).fill(false))
})

test('what throws has found out nothing', async () => {
  const { limits, attempt } = setUp()
  for (let i = 0; i < 20; i++) {
    await assert.rejects(limits.attempt(app, 'owner@example.com', here, () => Promise.reject(new Error('away'))))
  }
  assert.equal(await attempt(true), 'right')
})

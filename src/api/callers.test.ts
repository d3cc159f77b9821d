import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import * as fake from './fake-control.ts'
import { createApiServer } from './server.ts'
import { networkOf, Strangers } from './strangers.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })
const good = `Bearer ${fake.validKey}`

function served(rateLimits: Parameters<typeof fake.fakeControl>[0] = {}) {
  const control = fake.fakeControl(rateLimits)
  let asked = 0
  const server = createApiServer({
    control: {
      ...control,
      authenticate: (key, from) => {
        asked++
        return control.authenticate(key, from)
      },
    },
    contract,
    log: silentLogger,
    checkResponses: true,
    limitsStrangers: true,
  })
  const get = async (authorization: string | undefined, remoteAddress = '198.51.100.7', url = '/api/v2/projects') =>
    await server.inject({ method: 'GET', url, remoteAddress, headers: authorization ? { authorization } : {} })
  return { get, asked: () => asked }
}

test('whoever guesses keys is told to wait, and is not looked up any more', async () => {
  const { get, asked } = served()
  const statuses: number[] = []
  for (let i = 0; i < 200; i++) statuses.push((await get(`Bearer napi_guess${i}`)).statusCode)
  assert.equal(statuses.filter((status) => status === 429).length + asked(), 200)
  assert.ok(asked() < 130, String(asked()))
  const answer = await get('Bearer napi_again')
  assert.equal(answer.statusCode, 429)
  assert.match(String(answer.headers['retry-after']), /^[1-9]\d*$/)
  assert.match(answer.json<{ message: string }>().message, /without a valid API key/)
  assert.equal((await get(undefined)).statusCode, 429)
  assert.equal((await get('Bearer napi_x', '198.51.100.7', '/metrics')).statusCode, 429)
  assert.equal((await get('Bearer napi_x', '198.51.100.8')).statusCode, 401, 'another network is another guesser')
})

test('a key that was good lately gets through from a network where somebody guesses', async () => {
  const { get } = served()
  assert.equal((await get(good)).statusCode, 200)
  for (let i = 0; i < 200; i++) await get('Bearer napi_guess')
  assert.equal((await get('Bearer napi_guess')).statusCode, 429)
  assert.equal((await get(good)).statusCode, 200)
})

test('an empty budget is said with its wait, and while it is known to be empty nobody is asked who is calling', async () => {
  const refusal = new AppError('rate_limited', 'rate limit exceeded; try again in 3 seconds', {
    retryAfterSeconds: 2.1,
  })
  let isEmpty = false
  const { get, asked } = served({
    rateLimits: {
      take: async () => {
        if (isEmpty) throw refusal
      },
      refusal: (_, operationId) => (isEmpty && operationId === 'listProjects' ? refusal : undefined),
    },
  })
  assert.equal((await get(good)).statusCode, 200)
  isEmpty = true
  const before = asked()
  for (let i = 0; i < 20; i++) {
    const answer = await get(good)
    assert.equal(answer.statusCode, 429)
    assert.equal(answer.headers['retry-after'], '3')
    assert.equal(answer.json<{ message: string }>().message, refusal.message)
  }
  assert.equal(asked(), before)
})

test('a network is one v4 address, or the half of a v6 address that is not the host’s', () => {
  assert.equal(networkOf('198.51.100.7'), '198.51.100.7')
  assert.equal(networkOf('::ffff:198.51.100.7'), '198.51.100.7')
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
  assert.equal(networkOf('2001:0DB8:1:2::9'), '2001:db8:1:2')
  assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0')
  assert.equal(networkOf('::1'), '0:0:0:0')
  assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0')
  assert.equal(networkOf(''), 'unknown')
})

test('what is kept of strangers is bounded, and is forgiven with time', (t) => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const strangers = new Strangers()
  for (let i = 0; i < 130; i++) strangers.failed('198.51.100.7')
  assert.throws(() => strangers.assertMayTry('198.51.100.7'), { code: 'rate_limited' })
  now += 6_000
  strangers.assertMayTry('198.51.100.7')
  for (let i = 0; i < 130; i++) strangers.failed('198.51.100.7')
  for (let i = 0; i < 10_000; i++) strangers.failed(`10.0.${i >> 8}.${i & 255}`)
  strangers.assertMayTry('198.51.100.7')
})

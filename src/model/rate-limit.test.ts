import assert from 'node:assert/strict'
import { test } from 'node:test'
import { budgetsOf, defaultRateLimits, parseRateLimits, rateLimitText, refusalText } from './rate-limit.ts'

test('limits are read as they are written, and what is not named stays', () => {
  assert.deepEqual(parseRateLimits('700/min,40/s', defaultRateLimits), defaultRateLimits)
  assert.deepEqual(parseRateLimits('1400/min', defaultRateLimits), {
    ...defaultRateLimits,
    account: { count: 1400, seconds: 60 },
  })
  assert.deepEqual(parseRateLimits('80/s, api_keys=5/min, consumption=2/s', defaultRateLimits), {
    account: defaultRateLimits.account,
    route: { count: 80, seconds: 1 },
    apiKeys: { count: 5, seconds: 60 },
    consumption: { count: 2, seconds: 1 },
  })
  assert.equal(parseRateLimits('off', defaultRateLimits), 'off')
})

test('what is written can be read again', () => {
  for (const text of [
    '700/min,40/s,api_keys=10/s,consumption=30/min',
    '1/min,1/s,api_keys=1/s,consumption=9999999/min',
    'off',
  ]) {
    const limits = parseRateLimits(text, defaultRateLimits)
    assert.ok(limits)
    assert.equal(rateLimitText(limits), text)
  }
})

test('what is no limit is not taken for one', () => {
  for (const text of [
    '',
    '0/s',
    '-1/s',
    '40',
    '40/h',
    '1.5/s',
    '40/s;700/min',
    '40/s,',
    'keys=1/s',
    'none',
    '99999999/s',
    'OFF',
  ])
    assert.equal(parseRateLimits(text, defaultRateLimits), undefined, text)
})

test('a request draws on its account, its route, and what some routes share', () => {
  const names = (id: string): string[] =>
    budgetsOf(id, defaultRateLimits).map(({ name, pace }) => `${name} ${pace.count}/${pace.seconds}`)
  assert.deepEqual(names('listProjects'), ['all 700/60', 'listProjects 40/1'])
  assert.deepEqual(names('createOrgApiKey'), ['all 700/60', 'createOrgApiKey 10/1'])
  for (const id of [
    'getConsumptionHistoryPerProject',
    'getConsumptionHistoryPerProjectV2',
    'getConsumptionHistoryPerBranchV2',
  ])
    assert.deepEqual(names(id), ['all 700/60', `${id} 40/1`, 'consumption 30/60'])
})

test('a refusal says which limit, for what, and how long', () => {
  const [account, route] = budgetsOf('listProjects', defaultRateLimits)
  assert.ok(account && route)
  assert.equal(
    refusalText(route, 25),
    'rate limit of 40 requests a second for listProjects and this account exceeded; try again in 1 second',
  )
  assert.equal(
    refusalText(account, 1001),
    'rate limit of 700 requests a minute for this account exceeded; try again in 2 seconds',
  )
})

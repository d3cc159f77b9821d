import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAssignments } from './org.ts'

test('limits are written as a person types them', () => {
  assert.deepEqual(parseAssignments([]), { limits: {} })
  assert.deepEqual(
    parseAssignments(['projects=5', 'max_cu=0.5', 'outbound=on', 'default_branches_exempt=off', 'branches=default']),
    { limits: { projects: 5, max_cu: 0.5, outbound: true, default_branches_exempt: false, branches: null } },
  )
  assert.deepEqual(parseAssignments(['plan=free_v3', 'roles=1']), { plan: 'free_v3', limits: { roles: 1 } })
  // Whether it may stand there is for others to say.
  assert.deepEqual(parseAssignments(['projects=many', 'projects_=-1']).limits, { projects: 'many', projects_: '-1' })
})

test('names are only ever names', () => {
  const { limits } = parseAssignments(['__proto__=5', 'constructor=on'])
  assert.deepEqual(Object.keys(limits), ['__proto__', 'constructor'])
  assert.equal(Object.getPrototypeOf(limits), Object.prototype)
})

test('what is no assignment is refused', () => {
  for (const text of ['projects', '=5', ''])
    assert.throws(() => parseAssignments([text]), { code: 'bad_request', message: /is no NAME=VALUE/ })
})

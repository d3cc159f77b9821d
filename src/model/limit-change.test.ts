import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changedOverrides, namedLimits, namesOf } from './limit-change.ts'
import { effectiveLimits, limitDefinitions, planLimits, planNames, type LimitOverrides } from './plan.ts'

test('every limit has one definition, and every plan keeps to it', () => {
  const keys = limitDefinitions.map(({ key }) => key)
  assert.deepEqual(keys.toSorted(), Object.keys(planLimits('free_v3')).toSorted())
  assert.equal(new Set(limitDefinitions.map(({ name }) => name)).size, limitDefinitions.length)
  for (const plan of planNames) assert.deepEqual(changedOverrides(plan, {}, {}), {})
  for (const plan of planNames) changedOverrides(plan, {}, namedLimits(planLimits(plan)))
})

test('a change overrides the plan, and null takes it back', () => {
  const changed = changedOverrides('free_v3', { branchesPerProject: 7 }, { projects: 3, outbound: true })
  assert.deepEqual(changed, { branchesPerProject: 7, projects: 3, outbound: true })
  assert.equal(effectiveLimits('free_v3', changed).projects, 3)
  assert.equal(effectiveLimits('free_v3', changed).maxCu, 2)
  assert.deepEqual(namesOf(changed), ['projects', 'branches', 'outbound'])
  assert.deepEqual(changedOverrides('free_v3', changed, { branches: null, outbound: null, roles: null }), {
    projects: 3,
  })
})

test('what is wrong is named, with what may stand there', () => {
  const refused = (values: Record<string, unknown>, message: RegExp): void => {
    assert.throws(() => changedOverrides('free_v3', {}, values), { code: 'bad_request', message })
  }
  refused({ projcts: 3 }, /no limit "projcts"; there are projects, branches/)
  refused({ __proto__x: 1 }, /no limit/)
  refused({ constructor: 1 }, /no limit/)
  refused({ projects: -1 }, /projects must be a whole number from 0 to 10000000/)
  refused({ projects: 1.5 }, /whole number/)
  refused({ projects: '3' }, /whole number/)
  refused({ projects: Number.NaN }, /whole number/)
  refused({ outbound: 1 }, /outbound is a switch/)
  refused({ max_cu: 0.3 }, /max_cu must be in steps of 0.25 from 0.25 to 8/)
  refused({ max_cu: 16 }, /to 8/)
  refused({ min_cu: 4 }, /min_cu \(4\) must not be greater than max_cu \(2\)/)
})

test('a plan that is not known gets the bounded one', () => {
  for (const plan of ['', 'enterprise', 'constructor', '__proto__'])
    assert.deepEqual(planLimits(plan), planLimits('free_v3'))
})

test('whatever is accepted lies within the table, and nothing but numbers and switches is', () => {
  const name = fc.constantFrom(...limitDefinitions.map((definition) => definition.name))
  const value = fc.oneof(fc.double(), fc.integer(), fc.boolean(), fc.string(), fc.constant(null), fc.object())
  fc.assert(
    fc.property(fc.dictionary(name, value), (values) => {
      let after: LimitOverrides
      try {
        after = changedOverrides('scale_v3', {}, values)
      } catch (error) {
        assert.equal((error as { code: string }).code, 'bad_request')
        return
      }
      for (const definition of limitDefinitions) {
        const given = after[definition.key]
        if (given === undefined) continue
        if (definition.kind === 'switch') assert.equal(typeof given, 'boolean')
        else assert.ok(Number(given) >= definition.least && Number(given) <= definition.most)
      }
    }),
  )
})

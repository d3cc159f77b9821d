import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contractCacheFolder } from './coverage-page.ts'
import { loadContract } from './load.ts'
import { createPathMatcher } from './path-matcher.ts'

const { operations } = await loadContract({ cacheFolder: contractCacheFolder() })
const matcher = createPathMatcher(operations)

function match(method: 'GET' | 'POST' | 'DELETE', path: string): [string, Record<string, string>] | undefined {
  const found = matcher.match(method, path)
  return found && [found.operation.id, found.params]
}

test('every path of the contract leads to its own operation', () => {
  for (const operation of operations) {
    const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    const path = operation.path.replaceAll(/\{(\w+)\}/g, 'value-of-$1')
    const params = Object.fromEntries(names.map((name) => [name, `value-of-${name}`]))
    assert.deepEqual(matcher.match(operation.method, path), { operation, params })
  }
})

test('a literal part wins over a parameter where it leads somewhere', () => {
  assert.deepEqual(match('GET', '/projects/shared'), ['listSharedProjects', {}])
  assert.deepEqual(match('DELETE', '/projects/shared'), ['deleteProject', { project_id: 'shared' }])
  assert.deepEqual(match('GET', '/projects/shared/branches'), ['listProjectBranches', { project_id: 'shared' }])
  assert.deepEqual(match('POST', '/projects/auth/create'), ['createNeonAuthIntegration', {}])
  assert.deepEqual(match('POST', '/projects/auth/branches'), ['createProjectBranch', { project_id: 'auth' }])
  assert.deepEqual(match('GET', '/projects/p/branches/count'), ['countProjectBranches', { project_id: 'p' }])
})

test('parameters are decoded after the path was taken apart', () => {
  assert.deepEqual(match('GET', '/projects/p/branches/b/roles/a%2Fb%20%C3%BC'), [
    'getProjectBranchRole',
    { project_id: 'p', branch_id: 'b', role_name: 'a/b ü' },
  ])
  assert.deepEqual(match('GET', '/projects/p/branches/b/roles/..')?.[1]['role_name'], '..')
  for (const bad of ['%', '%zz', '%ff', '%C3'])
    assert.throws(() => match('GET', `/projects/${bad}`), { code: 'bad_request' })
})

test('what is not in the contract matches nothing', () => {
  for (const path of [
    '',
    '/',
    '/nothing',
    '/projects/',
    '//projects',
    '/projects/p/',
    '/projects/p/x',
    '/Projects',
    '/__proto__',
    '/projects/p//roles',
  ])
    assert.equal(match('GET', path), undefined, path)
  assert.deepEqual(matcher.methodsOf('/projects/p'), ['GET', 'PATCH', 'DELETE'])
  assert.deepEqual(matcher.methodsOf('/nothing'), [])
})

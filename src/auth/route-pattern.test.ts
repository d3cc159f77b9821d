import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routePattern } from './route-pattern.ts'

test('a log says which route it was, and no value', () => {
  const table: [path: string, pattern: string][] = [
    ['/sign-in/email?code=secret', '/sign-in/email'],
    ['/.well-known/jwks.json', '/.well-known/jwks.json'],
    ['/reset-password/x5ZqT0kLwRbNcDfG', '/reset-password/*'],
    ['/users/0f8fad5b-d9cb-469f-a165-70867728950e', '/users/*'],
    ['/users/someone@example.com', '/users/*'],
    ['/contact-channels/me/0f8fad5b-d9cb-469f-a165-70867728950e', '/contact-channels/me/*'],
    ['/qwertzuiopasdfghjklyxcvbnm', '/*'],
    ['/a/b/c/d/e/f/g/h', '/a/b/c/d/e/f'],
    ['/%73ecret', '/*'],
    ['/', '/*'],
  ]
  for (const [path, pattern] of table) assert.equal(routePattern(path), pattern, path)
})

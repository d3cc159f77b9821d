import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mostSimilar, similarity } from './similarity.ts'

test('what differs by little is most similar', () => {
  assert.equal(similarity('clubs', 'clubs'), 1)
  assert.equal(similarity('Clubs', 'clubs'), 1)
  assert.equal(mostSimilar('club', ['clubs', 'members']), 'clubs')
  assert.equal(mostSimilar('membres', ['clubs', 'members', 'teams'], 0.7), 'members')
  assert.equal(mostSimilar('nothing like it', ['clubs', 'members']), undefined)
  assert.equal(similarity('x'.repeat(10_000), 'x'.repeat(9_999)), 0)
})

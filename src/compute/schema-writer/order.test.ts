import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { phases, type Phase, type SchemaEntry } from './entry.ts'
import { inOrder, needsTransitively } from './order.ts'

const entry = (name: string, phase: Phase = 'relation', after: string[] = []): SchemaEntry => ({
  address: name,
  phase,
  kind: 'TABLE',
  schema: 's',
  name,
  target: '',
  statements: [],
  after,
})
const order = (entries: SchemaEntry[], needs: Record<string, string[]> = {}): string =>
  inOrder(entries, new Map(Object.entries(needs).map(([name, needed]) => [name, new Set(needed)])))
    .map(({ name }) => name)
    .join(' ')

test('by phase and name, wherever nothing is needed', () => {
  assert.equal(order([entry('b'), entry('c', 'index'), entry('a'), entry('z', 'schema')]), 'z a b c')
})

test('what is needed comes first, and what waited comes as soon as it can', () => {
  assert.equal(order([entry('a'), entry('f', 'index'), entry('z')], { a: ['z'] }), 'z a f')
  assert.equal(order([entry('a', 'function'), entry('b'), entry('c')], { a: ['c'] }), 'b c a')
  assert.equal(order([entry('a', 'relation', ['b']), entry('b')]), 'b a')
})

test('a circle is broken at its first, and nothing is lost', () => {
  assert.equal(order([entry('a'), entry('b'), entry('c')], { a: ['b'], b: ['a'], c: ['b'] }), 'a b c')
  assert.equal(order([entry('a')], { a: ['a', 'nothing that is written'] }), 'a')
})

test('the order is the same whatever it is made from, and every need is met', () => {
  const graph = fc.array(
    fc.record({ phase: fc.constantFrom(...phases), needs: fc.array(fc.nat({ max: 20 }), { maxLength: 3 }) }),
    {
      maxLength: 20,
    },
  )
  fc.assert(
    fc.property(graph, (nodes) => {
      const entries = nodes.map(({ phase }, at) => entry(String(at), phase))
      // Needs go to smaller numbers only: no circles.
      const needs = new Map(
        nodes.map(({ needs }, at) => [String(at), new Set(needs.filter((each) => each < at).map(String))]),
      )
      const ordered = inOrder(entries, needs).map(({ name }) => name)
      assert.deepEqual(
        inOrder(entries.toReversed(), needs).map(({ name }) => name),
        ordered,
      )
      assert.equal(new Set(ordered).size, nodes.length)
      for (const [name, needed] of needs)
        for (const each of needed) assert.ok(ordered.indexOf(each) < ordered.indexOf(name))
    }),
  )
})

test('needs are found over several steps, and circles end', () => {
  const needs = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c', 'a'])],
  ])
  assert.equal(needsTransitively(needs, 'a', 'c'), true)
  assert.equal(needsTransitively(needs, 'c', 'a'), false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { unifiedDiff } from './unified-diff.ts'

const diff = (from: string, to: string): string => unifiedDiff({ name: 'a/db', text: from }, { name: 'b/db', text: to })

const numbers = (start: number, end: number, mark = ''): string =>
  Array.from({ length: end - start }, (_, i) => `${mark}${start + i}\n`).join('')

/** What `patch` does. */
function applied(text: string, patch: string): string {
  const lines = text.split('\n').slice(0, -1)
  const result: string[] = []
  let at = 0
  for (const line of patch.split('\n').slice(2, -1)) {
    const [, start, length] = /^@@ -(\d+),(\d+) \+\d+,\d+ @@$/.exec(line) ?? []
    if (start !== undefined) {
      const next = length === '0' ? Number(start) : Number(start) - 1
      result.push(...lines.slice(at, next))
      at = next
    } else if (line.startsWith('+')) result.push(line.slice(1))
    else {
      assert.equal(lines[at++], line.slice(1))
      if (line.startsWith(' ')) result.push(line.slice(1))
    }
  }
  return [...result, ...lines.slice(at)].map((line) => `${line}\n`).join('')
}

test('equal texts differ by nothing', () => {
  assert.equal(diff('x\n', 'x\n'), '')
  assert.equal(diff('', ''), '')
})

test('a change is shown with its place and three lines around it', () => {
  assert.equal(
    diff(numbers(0, 20), numbers(0, 20).replace('\n9\n', '\nnine\nand a half\n')),
    '--- a/db\n+++ b/db\n@@ -7,7 +7,8 @@\n 6\n 7\n 8\n-9\n+nine\n+and a half\n 10\n 11\n 12\n',
  )
})

test('changes that are near each other are shown together, and others apart', () => {
  const text = numbers(0, 40)
  const places = (...changed: number[]): string[] =>
    diff(
      text,
      changed.reduce((now, each) => now.replace(`\n${each}\n`, '\nx\n'), text),
    ).match(/^@@.*$/gm) ?? []
  assert.deepEqual(places(10, 17), ['@@ -8,14 +8,14 @@'])
  assert.deepEqual(places(10, 18), ['@@ -8,7 +8,7 @@', '@@ -16,7 +16,7 @@'])
})

test('lines added in bulk are shown alone', () => {
  const [head, tail] = [numbers(0, 5), numbers(5, 10)]
  const shown = diff(head + tail, head + numbers(0, 50_000, 'new ') + tail)
  assert.match(shown, /^--- a\/db\n\+\+\+ b\/db\n@@ -3,6 \+3,50006 @@\n 2\n 3\n 4\n\+new 0\n/)
})

test('large texts with nothing in common are replaced', () => {
  const shown = diff(numbers(0, 50_000, 'old '), numbers(0, 50_000, 'new '))
  assert.match(shown, /^--- a\/db\n\+\+\+ b\/db\n@@ -1,50000 \+1,50000 @@\n-old 0\n/)
})

test('a diff leads from one text to the other', () => {
  const line = fc.oneof(fc.constantFrom('a', 'b', 'c', ''), fc.integer({ max: 30, min: 0 }).map(String))
  const text = fc.array(line, { maxLength: 60 }).map((lines) => lines.map((each) => `${each}\n`).join(''))
  fc.assert(
    fc.property(text, text, (from, to) => {
      const shown = diff(from, to)
      assert.equal(shown === '' ? from : applied(from, shown), to)
    }),
    { numRuns: 1000 },
  )
})

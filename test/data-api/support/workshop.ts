// An engine over the workshop, and tables of what is asked of it: a line of PostgREST's documentation each.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { TestEngine, type Answer, type Ask } from './engine.ts'

const workshop = readFileSync(new URL('../fixtures/workshop.sql', import.meta.url), 'utf8')

/** For the whole of a test file. */
export function useWorkshop(): () => TestEngine {
  let engine: TestEngine | undefined
  before(async () => {
    engine = await TestEngine.start(
      {
        dbAggregatesEnabled: true,
        dbPlanEnabled: true,
        serverTimingEnabled: true,
        serverTraceHeader: 'X-Trace',
        appSettings: { 'app.settings.region': 'eu' },
        dbTxEnd: 'commit-allow-override',
      },
      workshop,
    )
  })
  after(() => engine?.[Symbol.asyncDispose]())
  return () => {
    assert.ok(engine)
    return engine
  }
}

export const codeOf = ({ json }: Answer): string => (json as { code: string } | undefined)?.code ?? ''

export type Read = readonly [line: string, path: string, expected: unknown, headers?: Record<string, string>]

export function reads(engine: () => TestEngine, cases: readonly Read[]): void {
  for (const [line, path, expected, headers = {}] of cases) {
    test(`${line}: ${path}`, async () => {
      const answer = await engine().ask(path, { headers })
      assert.ok(answer.status < 300, answer.text)
      assert.deepEqual(answer.json, expected)
    })
  }
}

export type Refusal = readonly [
  line: string,
  path: string,
  status: number,
  expected: Record<string, unknown>,
  ask?: Ask,
]

export function refuses(engine: () => TestEngine, cases: readonly Refusal[]): void {
  for (const [line, path, status, expected, asked = {}] of cases) {
    test(`${line}: ${path}`, async () => {
      const answer = await engine().ask(path, asked)
      assert.equal(answer.status, status, answer.text)
      const body = answer.json as Record<string, unknown>
      assert.deepEqual(Object.keys(body), ['code', 'details', 'hint', 'message'])
      assert.deepEqual({ ...body, ...expected }, body)
    })
  }
}

export const labels = (...all: string[]): { label: string }[] => all.map((label) => ({ label }))

// How long the API takes for what dashboards and agents ask most, one request after another, over projects taken in turn.

import { get, type BenchProject } from './api.ts'
import { timed } from './connect.ts'
import { p99AtMost, type Result } from './row.ts'
import type { BenchServer } from './server.ts'
import { summarize } from './stats.ts'

const rounds = 250

const kinds: Readonly<Record<string, (project: BenchProject) => string>> = {
  'GET /projects/{id}': ({ id }) => `/projects/${id}`,
  'GET /projects': () => '/projects?limit=100',
  'GET …/branches': ({ id }) => `/projects/${id}/branches`,
  'GET …/endpoints': ({ id }) => `/projects/${id}/endpoints`,
  'GET …/connection_uri': ({ id }) => `/projects/${id}/connection_uri?database_name=neondb&role_name=neondb_owner`,
}

export async function apiLatency(
  server: BenchServer,
  projects: readonly BenchProject[],
  when: string,
): Promise<Result> {
  const all: number[] = []
  const notes: string[] = []
  for (const [kind, pathOf] of Object.entries(kinds)) {
    const samples: number[] = []
    for (let i = 0; i < rounds; i++) {
      const project = projects[(i * 37) % projects.length]
      if (project) samples.push(await timed(() => get(server, pathOf(project))))
    }
    all.push(...samples)
    const { p50, p99 } = summarize(samples)
    notes.push(`${kind} ${p50.toFixed(1)}/${p99.toFixed(1)}`)
  }
  const figures = summarize(all)
  return {
    what: `API latency with ${when}`,
    unit: 'ms',
    figures,
    targets: [p99AtMost(figures, 100)],
    note: `p50/p99: ${notes.join(', ')}`,
  }
}

// The Data API of a branch, through the edge as apps reach it: 20 connections that ask without a pause.
//
// The floor of each is the same work as one prepared statement over 20 connections to the same Postgres, in a transaction that takes on the
// role; what lies above it is HTTP, the edge, the plan and JSON.

import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { comeFirst } from '../../src/processes/priority.ts'
import { pidOf } from '../../test/support/leftovers.ts'
import { call, createReadyProject } from '../api.ts'
import { httpLoad, type HttpCall, type Load } from '../http-load.ts'
import { oneValue, p99AtMost, type Result, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const connections = 20
const rows = 10_000
const warmUpSeconds = 10
const bigSeconds = 5
const leastPerSecond = 1_500

const schema = `
  CREATE TABLE makers (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE items (id int PRIMARY KEY, maker_id int NOT NULL REFERENCES makers, name text NOT NULL, price numeric, tags text[]);
  CREATE INDEX ON items (maker_id);
  CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id int NOT NULL, note text);
  CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
  INSERT INTO makers SELECT i, 'maker ' || i FROM generate_series(1, 500) i;
  INSERT INTO items SELECT i, 1 + i % 500, 'item ' || i, i / 7.0, ARRAY['a', 'b'] FROM generate_series(1, ${rows}) i;
  CREATE FUNCTION price_of(item int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT price FROM items WHERE id = item';
  GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO anonymous;
  ANALYZE`

type Work = { what: string; next: (n: number) => HttpCall; floor?: { text: string; values: (n: number) => unknown[] } }

const key = (n: number): number => 1 + ((n * 7919) % rows)
const json = { 'content-type': 'application/json' }

const works = (root: string): Work[] => [
  {
    what: 'one row by its key',
    next: (n) => ({ method: 'GET', path: `${root}/items?id=eq.${key(n)}` }),
    floor: { text: 'SELECT json_agg(i)::text FROM items i WHERE id = $1', values: (n) => [key(n)] },
  },
  {
    what: 'a filtered list of 20',
    next: (n) => ({ method: 'GET', path: `${root}/items?maker_id=eq.${1 + (n % 500)}&order=id&limit=20` }),
    floor: {
      text: 'SELECT json_agg(i)::text FROM (SELECT * FROM items WHERE maker_id = $1 ORDER BY id LIMIT 20) i',
      values: (n) => [1 + (n % 500)],
    },
  },
  {
    what: 'one row with what it belongs to',
    next: (n) => ({ method: 'GET', path: `${root}/items?id=eq.${key(n)}&select=id,name,makers(name)` }),
    floor: {
      text: `SELECT json_agg(x)::text FROM (SELECT i.id, i.name, to_json(m) AS makers FROM items i
        LEFT JOIN LATERAL (SELECT name FROM makers m WHERE m.id = i.maker_id) m ON true WHERE i.id = $1) x`,
      values: (n) => [key(n)],
    },
  },
  {
    what: 'an insert',
    next: (n) => ({ method: 'POST', path: `${root}/orders`, headers: json, body: `{"item_id":${key(n)},"note":"n"}` }),
    floor: { text: `INSERT INTO orders (item_id, note) VALUES ($1, 'n')`, values: (n) => [key(n)] },
  },
  {
    what: 'an upsert',
    next: (n) => ({
      method: 'POST',
      path: `${root}/counters`,
      headers: { ...json, prefer: 'resolution=merge-duplicates' },
      body: `{"id":${key(n)},"n":${n}}`,
    }),
    floor: {
      text: 'INSERT INTO counters VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = excluded.n',
      values: (n) => [key(n), n],
    },
  },
  {
    what: 'a function',
    next: (n) => ({ method: 'POST', path: `${root}/rpc/price_of`, headers: json, body: `{"item":${key(n)}}` }),
    floor: { text: 'SELECT price_of($1)::text', values: (n) => [key(n)] },
  },
]

export const dataApi: Row = {
  name: 'data-api',
  slow: true,
  about: `requests to the Data API over ${connections} connections, of each kind for --seconds, and ${rows} rows at once with the memory that they take`,
  async run({ seconds }, say) {
    const stepBack = await comeFirst()
    await using server = await startBenchServer({ PGROVE_RATE_LIMIT: 'off' })
    const project = await createReadyProject(server, {
      suspend_timeout_seconds: -1,
      autoscaling_limit_min_cu: 2,
      autoscaling_limit_max_cu: 2,
    })
    await call(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/data-api/neondb`, {})
    const client = new pg.Client({ connectionString: project.uri })
    await client.connect()
    await client.query(schema)
    await client.end()
    const root = `/${project.endpointId}/neondb/rest/v1`
    const results: Result[] = []
    // As long as code is compiled for what it sees for the first time, that is what would be measured.
    say('warming up')
    const [first] = works(root)
    if (first) await httpLoad({ port: server.httpPort, connections, next: first.next, seconds: warmUpSeconds })
    for (const work of works(root)) {
      say(work.what)
      const load = { port: server.httpPort, connections, next: work.next }
      await httpLoad({ ...load, seconds: 1 })
      const measured = await httpLoad({ ...load, seconds })
      const floor = work.floor && (await statements(project.uri, work.floor, seconds))
      results.push(...resultsOf(work.what, measured, floor))
    }
    say(`${rows} rows at once`)
    results.push(...(await everything(server, `${root}/items`)))
    await stepBack()
    return results
  },
}

function resultsOf(what: string, { latencies, perSecond }: Load, floor: Load | undefined): Result[] {
  const isKey = what === 'one row by its key'
  const figures = summarize(latencies)
  return [
    {
      what,
      unit: '/s',
      figures: oneValue(perSecond),
      floor: floor && { what: 'the same as a prepared statement', figures: oneValue(floor.perSecond) },
      targets: isKey ? [{ text: `≥ ${leastPerSecond}`, met: perSecond >= leastPerSecond }] : [],
    },
    {
      what: '  its answer',
      unit: 'ms',
      figures,
      floor: floor && { what: 'the same as a prepared statement', figures: summarize(floor.latencies) },
      targets: isKey ? [p99AtMost(figures, 50)] : [],
    },
  ]
}

/** Through the proxy, where the role is taken on and the settings are made as a request makes them. */
async function statements(
  uri: string,
  { text, values }: { text: string; values: (n: number) => unknown[] },
  seconds: number,
): Promise<Load> {
  const clients = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new pg.Client({ connectionString: uri, pipeline: true })
      await client.connect()
      return client
    }),
  )
  const latencies: number[] = []
  let n = 0
  const began = performance.now()
  try {
    await Promise.all(
      clients.map(async (client) => {
        while (performance.now() < began + seconds * 1000) {
          const sent = performance.now()
          await Promise.all([
            client.query('BEGIN'),
            client.query({ name: 'role', text: `SELECT set_config('role', $1, true)`, values: ['anonymous'] }),
            client.query({ name: 'work', text, values: values(n++) }),
            client.query('COMMIT'),
          ])
          latencies.push(performance.now() - sent)
        }
      }),
    )
  } finally {
    await Promise.all(clients.map((client) => client.end()))
  }
  return { latencies, perSecond: latencies.length / ((performance.now() - began) / 1000) }
}

/** Twenty at a time that each read the whole table. */
async function everything(server: BenchServer, path: string): Promise<Result[]> {
  const pid = await pidOf(server, 'data-api')
  const before = await residentMb(pid, 'VmRSS')
  const { latencies, perSecond } = await httpLoad({
    port: server.httpPort,
    connections,
    seconds: bigSeconds,
    next: () => ({ method: 'GET', path }),
  })
  return [
    { what: `${rows} rows`, unit: '/s', figures: oneValue(perSecond), targets: [] },
    { what: '  its answer', unit: 'ms', figures: summarize(latencies), targets: [] },
    {
      what: `  memory of the process at most, ${connections} of them at once`,
      unit: 'MB',
      figures: oneValue(await residentMb(pid, 'VmHWM')),
      floor: { what: 'before', figures: oneValue(before) },
      targets: [],
    },
  ]
}

async function residentMb(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024
}

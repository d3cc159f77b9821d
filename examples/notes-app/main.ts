// A small app with sign-in, as an agent would build one: a page, two routes, a table with row-level security.
//
//   NEON_API_KEY=napi_… node examples/notes-app/main.ts
//
// Makes a project, turns sign-in on, and serves the page. Visitors sign up with an e-mail that has to be confirmed, or with Google: where the
// operator has no Google credentials, pgrove's own identity provider on this machine stands in for it, and mails stay in the mailbox that
// the API shows. Ctrl-C removes the project.

import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createApiClient, NeonAuthSupportedAuthProvider } from '@neondatabase/api-client'
import { build } from 'esbuild'
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose'
import pg from 'pg'

const apiKey = process.env['NEON_API_KEY']
const baseURL = process.env['PGROVE_API_URL'] ?? process.env['NEON_API_HOST'] ?? 'http://127.0.0.1:4400/api/v2'
const port = Number(process.env['PORT'] ?? 3000)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (!apiKey) {
  process.stderr.write('set NEON_API_KEY to the key that pgrove printed on its first start\n')
  process.exit(2)
}
const api = createApiClient({ apiKey, baseURL })
const here = import.meta.dirname
const longestBody = 10_000

type App = { pool: pg.Pool; authUrl: string; claimsOf: (token: string) => Promise<JWTPayload> }

/** A project with sign-in, and the app's table in it. */
async function makeProject(): Promise<App & { projectId: string; branchId: string }> {
  const {
    project,
    branch,
    databases,
    connection_uris: uris,
  } = (await api.createProject({ project: { name: 'notes-app' } })).data
  const integration = (
    await api.createNeonAuth(project.id, branch.id, {
      auth_provider: NeonAuthSupportedAuthProvider.BetterAuth,
      ...(databases[0] ? { database_name: databases[0].name } : {}),
    })
  ).data
  await api.updateNeonAuthEmailAndPasswordConfig(project.id, branch.id, {
    require_email_verification: true,
    send_verification_email_on_sign_up: true,
  })
  const authUrl = integration.base_url ?? ''
  const pool = new pg.Pool({ connectionString: uris[0]?.connection_uri ?? '', max: 5 })
  pool.on('error', () => {})
  await pool.query(await readFile(join(here, 'schema.sql'), 'utf8'))
  const keys = createRemoteJWKSet(new URL(integration.jwks_url))
  const { origin } = new URL(authUrl)
  const claimsOf = async (token: string): Promise<JWTPayload> =>
    (await jwtVerify(token, keys, { issuer: origin, audience: origin })).payload
  return { projectId: project.id, branchId: branch.id, pool, authUrl, claimsOf }
}

/** One transaction in the visitor's name: the role, and the claims that `auth.user_id()` reads, end with it. */
async function asVisitor<T>(
  { pool }: App,
  claims: JWTPayload,
  work: (client: pg.ClientBase) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)`, [
      JSON.stringify(claims),
    ])
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function notes(app: App, request: IncomingMessage): Promise<unknown> {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
  const claims = await app.claimsOf(token).catch(() => {
    throw new Refused(401, 'sign in first')
  })
  if (request.method === 'GET') {
    return await asVisitor(
      app,
      claims,
      async (client) => (await client.query('select id, what from notes order by id')).rows,
    )
  }
  if (request.method !== 'POST') throw new Refused(405, 'GET reads notes, POST writes one')
  const what = await noteIn(request)
  return await asVisitor(app, claims, async (client) => {
    const { rows } = await client.query('insert into notes (what) values ($1) returning id, what', [what])
    return rows[0] as unknown
  })
}

async function noteIn(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > longestBody) throw new Refused(413, 'a note has at most 500 characters')
  }
  const { what } = JSON.parse(text) as { what?: unknown }
  if (typeof what !== 'string' || what === '' || what.length > 500)
    throw new Refused(400, 'a note has 1 to 500 characters')
  return what
}

async function serve(app: App): Promise<string> {
  const page = await readFile(join(here, 'page.html'))
  const bundle = await build({
    entryPoints: [join(here, 'page.js')],
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'error',
  })
  const files = new Map<string, [type: string, body: Uint8Array | string]>([
    ['/', ['text/html; charset=utf-8', page]],
    ['/page.js', ['text/javascript; charset=utf-8', bundle.outputFiles[0]?.contents ?? '']],
    ['/config.json', ['application/json', JSON.stringify({ authUrl: app.authUrl })]],
  ])
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const file = files.get(pathname)
    if (file) return void response.writeHead(200, { 'content-type': file[0] }).end(file[1])
    const answer = (status: number, body: unknown): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (pathname !== '/api/notes') return answer(404, { message: 'there is nothing here' })
    notes(app, request).then(
      (body) => answer(200, body),
      (error: unknown) =>
        error instanceof Refused
          ? answer(error.status, { message: error.message })
          : answer(500, { message: 'that did not work' }),
    )
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

const app = await makeProject()
const url = await serve(app)
say(`app        ${url}`)
say(
  `mailbox    curl -H "Authorization: Bearer $NEON_API_KEY" ${baseURL}/projects/${app.projectId}/branches/${app.branchId}/auth/mailbox`,
)
say('ready')

const end = async (): Promise<void> => {
  await app.pool.end()
  await api.deleteProject(app.projectId)
  say('the project is deleted')
  process.exit(0)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end())

// An app with notes of its users for a test: a project with Neon Auth and a Data API, row-level security between them, and who asks.

import assert from 'node:assert/strict'
import { makeProject, type TestProject } from './neon.ts'
import { query } from './postgres.ts'
import { request, type TestServer } from './server.ts'

export const notesSql = `
  CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text NOT NULL DEFAULT auth.user_id(), body text);
  ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON notes TO authenticated USING ((SELECT auth.user_id()) = user_id) WITH CHECK ((SELECT auth.user_id()) = user_id)`

export type Asked = { status: number; headers: Headers; text: string; json: unknown }
export type Ask = { method?: string; body?: unknown; token?: string | undefined; headers?: Record<string, string> }

export const dataApiPath = (
  project: Pick<TestProject, 'id' | 'database'>,
  branchId: string,
  database = project.database,
): string => `/projects/${project.id}/branches/${branchId}/data-api/${encodeURIComponent(database)}`

export const urlOf = (server: TestServer, endpointId: string, database: string): string =>
  `${server.origin}/${endpointId}/${encodeURIComponent(database)}/rest/v1`

export async function ask(url: string, { method = 'GET', body, token, headers = {} }: Ask = {}): Promise<Asked> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? (JSON.parse(text) as unknown) : text,
  }
}

/** Signs up at a branch's sign-in, and has it make a token. */
export async function tokenOf(authUrl: string, email: string, path = '/sign-up/email'): Promise<string> {
  const response = await fetch(authUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: 'http://localhost:3000' },
    body: JSON.stringify({ email, password: 'correct horse battery', name: email }),
  })
  assert.equal(response.status, 200, await response.clone().text())
  const cookie = response.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ')
  const made = await fetch(`${authUrl}/token`, { headers: { cookie } })
  const { token } = (await made.json()) as { token: string }
  return token
}

export type NotesApp = { project: TestProject; url: string; authUrl: string }

export async function makeNotesApp(server: TestServer, settings: Record<string, unknown> = {}): Promise<NotesApp> {
  const project = await makeProject(server, settings)
  const authPath = `/projects/${project.id}/branches/${project.branchId}/auth`
  const auth = await request(server, 'POST', authPath, { auth_provider: 'better_auth' })
  assert.equal(auth.status, 201, JSON.stringify(auth.body))
  await query(project.uri, 'DROP TABLE IF EXISTS notes')
  const enabled = await request(server, 'POST', dataApiPath(project, project.branchId), {
    auth_provider: 'neon_auth',
    add_default_grants: true,
  })
  assert.equal(enabled.status, 201, JSON.stringify(enabled.body))
  for (const statement of notesSql.split(';')) await query(project.uri, statement)
  return { project, url: String(enabled.body['url']), authUrl: String(auth.body['base_url']) }
}

// An app without a server: its users sign in, and read and write the database over the Data API. Who may see what, Postgres decides.
//
//   NEON_API_KEY=napi_… node examples/own-rows.ts
//
// Two users each see the notes that are theirs; whoever is not signed in sees none.

import { createApiClient, NeonAuthSupportedAuthProvider as Provider } from '@neondatabase/api-client'
import { PostgrestClient } from '@supabase/postgrest-js'
import pg from 'pg'

const apiKey = process.env['NEON_API_KEY']
const baseURL = process.env['PGROVE_API_URL'] ?? process.env['NEON_API_HOST'] ?? 'http://127.0.0.1:4400/api/v2'
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (!apiKey) {
  process.stderr.write('set NEON_API_KEY to the key that pgrove printed on its first start\n')
  process.exit(2)
}
const api = createApiClient({ apiKey, baseURL })

const schema = `
  create table notes (
    id bigint generated always as identity primary key,
    user_id text not null default auth.user_id(),
    body text not null
  );
  alter table notes enable row level security;
  create policy "own notes" on notes to authenticated
    using ((select auth.user_id()) = user_id) with check ((select auth.user_id()) = user_id);
`

/** Signs up as a page of the app would, and gives the token that the Data API knows the user by. */
async function signUp(authUrl: string, name: string): Promise<string> {
  const headers = { 'content-type': 'application/json', origin: 'http://localhost:3000' }
  const body = JSON.stringify({ email: `${name}@example.com`, password: 'correct horse battery', name })
  const response = await fetch(`${authUrl}/sign-up/email`, { method: 'POST', headers, body })
  if (!response.ok) throw new Error(`sign-up failed: ${await response.text()}`)
  const cookie = response.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ')
  const { token } = (await (await fetch(`${authUrl}/token`, { headers: { cookie } })).json()) as { token: string }
  return token
}

const as = (url: string, token?: string): PostgrestClient =>
  new PostgrestClient(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

async function notesOf(client: PostgrestClient): Promise<string> {
  const { data, error } = await client.from('notes').select('body').order('id')
  return error ? `nothing (${error.message})` : (data as { body: string }[]).map(({ body }) => body).join(', ')
}

const { data: made } = await api.createProject({ project: { name: 'own-rows' } })
const { project, branch, connection_uris } = made
try {
  const [connection] = connection_uris
  if (!connection) throw new Error('the project has no connection string')
  const database = connection.connection_parameters.database
  const auth = await eventually(() => api.createNeonAuth(project.id, branch.id, { auth_provider: Provider.BetterAuth }))
  const dataApi = await api.createProjectBranchDataApi(project.id, branch.id, database, {
    auth_provider: 'neon_auth',
    add_default_grants: true,
  })
  say(`data api   ${dataApi.data.url}`)
  const client = new pg.Client({ connectionString: connection.connection_uri })
  await client.connect()
  await client.query(schema)
  await client.end()

  const authUrl = auth.data.base_url ?? ''
  const ada = as(dataApi.data.url, await signUp(authUrl, 'ada'))
  const bob = as(dataApi.data.url, await signUp(authUrl, 'bob'))
  await ada.from('notes').insert([{ body: 'water the plants' }, { body: 'call Bob' }])
  await bob.from('notes').insert({ body: 'call Ada' })
  say(`ada        ${await notesOf(ada)}`)
  say(`bob        ${await notesOf(bob)}`)
  say(`anonymous  ${await notesOf(as(dataApi.data.url))}`)
  const { error } = await bob.from('notes').insert({ body: 'forged', user_id: 'ada' })
  say(`forged     ${error?.message ?? 'went through'}`)
} finally {
  await eventually(() => api.deleteProject(project.id))
}
say('done')

/** While a project is being worked on, changes are refused with 423. */
async function eventually<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if ((error as { response?: { status?: number } }).response?.status !== 423) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

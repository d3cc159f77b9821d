// The auth process: it is started by the first request, has no rights but its own, wakes computes without keeping them awake, and may be
// killed, as may be everything around it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { adminSocket, apiSocket, controlSocket, homeAt, serviceControlSocket, serviceSocket } from '../../src/home.ts'
import { eventually } from '../support/eventually.ts'
import { pgroveProcesses, pidOf } from '../support/leftovers.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { residentMb } from '../support/node-pids.ts'
import { destroyHome, makeHome, request, startServer, type TestServer } from '../support/server.ts'

const run = promisify(execFile)
const isRoot = process.getuid?.() === 0
const page = 'http://localhost:3000'
const email = 'someone@example.com'
const password = 'correct horse battery'

let home: string
let server: TestServer
let project: TestProject
let integrationId: string
let cookie = ''

before(async () => {
  home = await makeHome('pgrove-auth-')
  server = await startServer({
    home,
    keepHome: true,
    env: { PGROVE_STORAGE: 'copy', BETTER_AUTH_TRUSTED_ORIGINS: 'https://evil.example' },
  })
  project = await makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds: 1 } })
  const created = await request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/auth`, {
    auth_provider: 'stack',
  })
  assert.equal(created.status, 201, JSON.stringify(created.body))
  integrationId = String(created.body['auth_provider_project_id'])
})

after(async () => {
  await server?.stop().catch(() => {})
  if (home) await destroyHome(home)
})

const baseUrl = (): string => `${server.origin}/${project.endpointId}/${project.database}/auth`
const keySetUrl = (): string => `${server.origin}/api/v1/projects/${integrationId}/.well-known/jwks.json`

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(baseUrl() + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: page },
    body: JSON.stringify(body),
  })

/** A look-up in the tenant's database. */
const lookUp = (): Promise<Response> => fetch(`${baseUrl()}/get-session`, { headers: { cookie, origin: page } })

async function isSignedIn(response: Response): Promise<boolean> {
  const body = (await response.json()) as { user?: { email: string } } | null
  return body?.user?.email === email
}

async function stateOf(): Promise<string> {
  const { body } = await request(server, 'GET', `/projects/${project.id}/endpoints/${project.endpointId}`)
  return (body['endpoint'] as { current_state: string }).current_state
}

const asleep = (): Promise<unknown> => eventually('the endpoint to be idle', async () => (await stateOf()) === 'idle')

const suspensions = async (): Promise<number> => {
  const { body } = await request(server, 'GET', `/projects/${project.id}/operations`)
  return (body['operations'] as { action: string }[]).filter(({ action }) => action === 'suspend_compute').length
}

const authPids = async (): Promise<number[]> =>
  (await pgroveProcesses(home)).filter(({ role }) => role === 'auth').map(({ pid }) => pid)

test('there is no such process until somebody asks for sign-in', async () => {
  assert.deepEqual(await authPids(), [])
  const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(keySetUrl())))
  for (const answer of answers) {
    assert.equal(answer.status, 200)
    const { keys } = (await answer.json()) as { keys: { crv: string; d?: string }[] }
    assert.deepEqual(
      keys.map(({ crv, d }) => [crv, d]),
      [['Ed25519', undefined]],
    )
  }
  assert.equal((await authPids()).length, 1)
})

test('it has no rights but its own, and none of our secrets', { skip: !isRoot }, async () => {
  const pid = await pidOf(server, 'auth')
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [uid = 0, effective = 0, saved = 0] = /^Uid:\t(\d+)\t(\d+)\t(\d+)/m.exec(status)?.slice(1).map(Number) ?? []
  const [gid = 0] = /^Gid:\t(\d+)/m.exec(status)?.slice(1).map(Number) ?? []
  assert.ok(uid > 0 && uid === effective && uid === saved && gid > 0, status)
  assert.match(status, /^Groups:\t\s*$/m)
  assert.match(status, /^CapEff:\t0+$/m)
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
  // The library would read settings of its own there, and trust origins that they name.
  assert.doesNotMatch(environment, /PGROVE_|BETTER_AUTH_|AUTH_SECRET/)

  const places = homeAt(home)
  // What whoever takes it over could do.
  const asIt = (program: string, ...args: string[]): Promise<unknown> => run(program, args, { uid, gid, cwd: '/' })
  for (const file of [
    places.masterKey,
    places.credentials,
    join(places.tls, 'server.key'),
    join(places.tls, 'ca.key'),
  ]) {
    await readFile(file)
    await assert.rejects(asIt('cat', file), /Permission denied/, file)
  }
  const connect = `require('node:net').connect(process.argv[1]).on('error', () => process.exit(3)).on('connect', () => process.exit(0))`
  const reach = (socket: string): Promise<unknown> => asIt(process.execPath, '-e', connect, socket)
  for (const socket of [controlSocket(places), apiSocket(places), adminSocket(places), serviceSocket(places, 'auth')])
    await assert.rejects(reach(socket), { code: 3 }, socket)
  await reach(serviceControlSocket(places, 'auth'))

  const edge = await readFile(`/proc/${await pidOf(server, 'edge')}/status`, 'utf8')
  const edgeUid = Number(/^Uid:\t(\d+)/m.exec(edge)?.[1])
  assert.notEqual(edgeUid, uid)
  await assert.rejects(
    run(process.execPath, ['-e', connect, serviceControlSocket(places, 'auth')], { uid: edgeUid, gid, cwd: '/' }),
    { code: 3 },
    'signing keys are told to nobody else',
  )
})

test('a request wakes a compute that sleeps; a key set does not', async () => {
  const signedUp = await post('/sign-up/email', { email, password, name: 'Someone' })
  assert.equal(signedUp.status, 200, await signedUp.clone().text())
  cookie = signedUp.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  await asleep()
  assert.equal((await fetch(keySetUrl())).status, 200)
  assert.equal((await fetch(`${baseUrl()}/.well-known/jwks.json`)).status, 200)
  assert.equal(await stateOf(), 'idle')
  const looked = await lookUp()
  assert.equal(looked.status, 200)
  assert.ok(await isSignedIn(looked))
  assert.equal(await stateOf(), 'active')
})

test('look-ups without an end do not keep it awake, and none of them fails when it goes to sleep', async () => {
  const before = await suspensions()
  let isOver = false
  const statuses = new Set<string>()
  const load = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      const response = await lookUp()
      statuses.add(`${response.status} ${response.ok ? await isSignedIn(response) : await response.text()}`)
      await delay(50)
    }
  })
  try {
    await eventually('it has gone to sleep under load', async () => (await suspensions()) >= before + 3, 90_000)
  } finally {
    isOver = true
    await Promise.all(load)
  }
  assert.deepEqual([...statuses], ['200 true'])
})

test('what is changed holds from the next request on', async () => {
  const settings = `/projects/${project.id}/branches/${project.branchId}/auth/email_and_password`
  const other = { email: 'other@example.com', password, name: 'Other' }
  const change = async (body: unknown): Promise<void> => {
    const { status, body: answer } = await request(server, 'PATCH', settings, body)
    assert.equal(status, 200, JSON.stringify(answer))
  }
  await change({ disable_sign_up: true })
  const refused = await post('/sign-up/email', other)
  assert.ok(refused.status >= 400 && refused.status < 500, `${refused.status}`)
  await change({ disable_sign_up: false })
  assert.equal((await post('/sign-up/email', other)).status, 200)
})

test('a disabled endpoint is not woken', async () => {
  const update = async (disabled: boolean): Promise<void> => {
    const path = `/projects/${project.id}/endpoints/${project.endpointId}`
    const answer = await eventually('the endpoint can be changed', async () => {
      const tried = await request(server, 'PATCH', path, { endpoint: { disabled } })
      return tried.status !== 423 && tried
    })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
  }
  await update(true)
  const refused = await lookUp()
  assert.equal(refused.status, 422, await refused.clone().text())
  await update(false)
  const again = await eventually('it can be had again', async () => {
    const response = await lookUp()
    return response.status === 200 && response
  })
  assert.ok(await isSignedIn(again))
})

test('requests have bounds', async () => {
  const large = await post('/sign-in/email', { email, password: 'x'.repeat(1024 * 1024) })
  assert.equal(large.status, 413)
  assert.equal((await fetch(`${server.origin}/ep-nobody-000/neondb/auth/get-session`)).status, 404)
  assert.equal((await fetch(`${server.origin}/${project.endpointId}/nothing/auth/get-session`)).status, 404)
  const { port } = new URL(server.origin)
  for (const path of [`/${project.endpointId}/neondb/auth/../../x`, `/api/v1/%2e%2e/v2/projects`]) {
    const outgoing = httpRequest({ port, path })
    outgoing.end()
    const status = await new Promise<number | undefined>((resolve, reject) => {
      outgoing.on('response', (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      outgoing.on('error', reject)
    })
    assert.equal(status, 404, path)
  }
})

test('its log names routes and nothing that was in them', async () => {
  await fetch(`${baseUrl()}/reset-password/SecretToken123?callbackURL=SecretPlace`)
  await eventually('the request is in the log', async () =>
    (await server.log()).includes('"route":"/reset-password/*"'),
  )
  const lines = (await server.log()).split('\n').filter((line) => line.includes('"process":"auth"'))
  for (const secret of ['SecretToken', 'SecretPlace', email, password, cookie.split('=')[1]?.slice(0, 20) ?? ''])
    assert.ok(!lines.some((line) => line.includes(secret)), secret)
})

/** Under load, until it is as before. */
async function kill(role: 'auth' | 'control' | 'edge'): Promise<Set<string>> {
  const outcomes = new Set<string>()
  let isOver = false
  const load = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      const outcome = await lookUp().then(
        async (response) => {
          if (response.status === 200) return (await isSignedIn(response)) ? 'signed in' : 'signed out'
          return `${response.status}, again after ${response.headers.get('retry-after')}`
        },
        () => 'no connection',
      )
      outcomes.add(outcome)
      await delay(20)
    }
  })
  try {
    const pid = await pidOf(server, role)
    process.kill(pid, 'SIGKILL')
    await eventually('another one runs', async () => (await pidOf(server, role)) !== pid)
    let inARow = 0
    await eventually(
      'all is well again',
      async () => {
        inARow = await lookUp().then(
          (response) => (response.status === 200 ? inARow + 1 : 0),
          () => 0,
        )
        return inARow >= 20
      },
      60_000,
    )
  } finally {
    isOver = true
    await Promise.all(load)
  }
  return outcomes
}

test('killed in the middle of requests it comes back, and nobody is signed out', async () => {
  const outcomes = await kill('auth')
  for (const outcome of outcomes) assert.match(outcome, /^signed in$|^503, again after 1$/)
})

test('it goes on without control, and hears afterwards what has changed meanwhile', async () => {
  const pid = await pidOf(server, 'auth')
  const outcomes = await kill('control')
  for (const outcome of outcomes) assert.match(outcome, /^signed in$|^503, again after 1$/)
  assert.equal(await pidOf(server, 'auth'), pid)
  const settings = `/projects/${project.id}/branches/${project.branchId}/auth/email_and_password`
  await eventually('control takes a change', async () => {
    const { status } = await request(server, 'PATCH', settings, { disable_sign_up: true })
    return status === 200
  })
  let tries = 0
  await eventually('it has heard', async () => {
    const { status } = await post('/sign-up/email', { email: `other${tries++}@example.org`, password, name: 'Other' })
    return status >= 400 && status < 500
  })
})

test('it outlives the edge', async () => {
  const pid = await pidOf(server, 'auth')
  const outcomes = await kill('edge')
  for (const outcome of outcomes) assert.match(outcome, /^signed in$|^503, again after 1$|^no connection$/)
  assert.equal(await pidOf(server, 'auth'), pid)
})

test('a stop takes it along', async (t) => {
  t.diagnostic(`resident: ${Math.round(await residentMb(await pidOf(server, 'auth')))} MB`)
  await server.stop()
  assert.deepEqual(await pgroveProcesses(home), [])
  const sockets = (await readdir(homeAt(home).run)).filter((name) => name.endsWith('.sock') || name.endsWith('.new'))
  assert.deepEqual(sockets, [])
})

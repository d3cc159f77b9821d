// Passwords cost a processor each: what people feel who sign in at a bearable pace, and what all others feel when more sign in than there are
// processors for.
//
// Requests begin when their time has come, whether or not those before them are answered. An event loop that is blocked shows in the key set,
// which is in memory and asked for a hundred times a second: no answer of it takes less than the block that it fell into.

import { scrypt } from 'node:crypto'
import { request as httpRequest, Agent } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { comeFirst } from '../../src/processes/priority.ts'
import { call, createReadyProject } from '../api.ts'
import { timed } from '../connect.ts'
import { oneValue, p99AtMost, type Result, type Row, type Target } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize, type Summary } from '../stats.ts'

const password = 'correct horse battery'
const people = 40
const bearable = 5
const tooMany = 20
const longestBlockMs = 50
const keySetEveryMs = 10
const sessionEveryMs = 50
const floorSamples = 20
const mostSeconds = 20

export const authSignIn: Row = {
  name: 'auth-sign-in',
  slow: true,
  about:
    'sign-ins with a password at 5 and at 20 a second, and what other requests feel of them (--seconds, at most 20)',
  async run({ seconds: given }, say) {
    const seconds = Math.min(given, mostSeconds)
    // The clients are elsewhere, as a rule, and not what is measured.
    const stepBack = await comeFirst()
    await using server = await startBenchServer({ PGROVE_RATE_LIMIT: '100000/min,1000/s' })
    const app = await openApp(server, say)
    const hash: number[] = []
    for (let i = 0; i < floorSamples; i++) hash.push(await timed(oneHash))
    const floor = { what: 'one hash of a password, nothing else', figures: summarize(hash) }
    say('nobody signs in')
    const quiet = await watch(app, 0, seconds)
    say(`${bearable} sign-ins a second`)
    const calm = await watch(app, bearable, seconds)
    await delay(2000)
    say(`${tooMany} sign-ins a second`)
    const flood = await watch(app, tooMany, seconds)
    await stepBack()
    const refused = flood.replies.filter(({ status }) => status === 429)
    const taken = (of: Watched): number[] => of.replies.filter(({ status }) => status === 200).map(({ ms }) => ms)
    const besides = (what: string, of: number[], alone: number[], targets: (figures: Summary) => Target[]): Result => {
      const figures = summarize(of)
      const unburdened = { what: 'the same while nobody signs in', figures: summarize(alone) }
      return { what, unit: 'ms', figures, floor: unburdened, targets: targets(figures) }
    }
    const noLongBlock = ({ max }: Summary): Target[] => [
      { text: `none above ${longestBlockMs}`, met: max <= longestBlockMs },
    ]
    return [
      {
        what: `sign-in, ${bearable} a second`,
        unit: 'ms',
        figures: summarize(taken(calm)),
        floor,
        targets: [{ text: 'none refused', met: taken(calm).length === calm.replies.length }],
      },
      besides('  key set meanwhile', calm.keySet, quiet.keySet, noLongBlock),
      besides('  session meanwhile', calm.session, quiet.session, () => []),
      {
        what: `sign-in, ${tooMany} a second offered: taken`,
        unit: 'ms',
        figures: summarize(taken(flood)),
        floor,
        targets: [],
        note: `${(taken(flood).length / seconds).toFixed(1)} a second; the longest answer to a key set took ${Math.max(...calm.keySet).toFixed(0)} ms at ${bearable} a second, ${Math.max(...flood.keySet).toFixed(0)} ms at ${tooMany}`,
      },
      {
        what: '  refused with Retry-After',
        unit: '%',
        figures: oneValue((100 * refused.filter(({ retryAfter }) => retryAfter >= 1).length) / flood.replies.length),
        targets: [
          {
            text: 'whatever is not taken',
            met: flood.replies.every(({ status, retryAfter }) => status === 200 || (status === 429 && retryAfter >= 1)),
          },
        ],
      },
      besides('  key set meanwhile', flood.keySet, quiet.keySet, (figures) => [p99AtMost(figures, 100)]),
      besides('  session meanwhile', flood.session, quiet.session, (figures) => [p99AtMost(figures, 100)]),
    ]
  },
}

function oneHash(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const cost = { N: 16_384, r: 16, p: 1, maxmem: 64 * 1024 * 1024 }
  scrypt(password, 'salt', 64, cost, (error) => (error ? reject(error) : resolve()))
  return promise
}

type Reply = { status: number; retryAfter: number; ms: number; cookies: string[] }

type App = {
  signIn: (person: number, from: string) => Promise<Reply>
  keySet: () => Promise<Reply>
  session: () => Promise<Reply>
}

async function openApp(server: BenchServer, say: (text: string) => void): Promise<App> {
  const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
  const made = await call(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/auth`, {
    auth_provider: 'stack',
  })
  const id = String(made['auth_provider_project_id'])
  const agent = new Agent({ keepAlive: true })
  const stack = (path: string, body: unknown, from: string, keys: Record<string, string>): Promise<Reply> =>
    ask(`${server.origin}/api/v1${path}`, {
      method: 'POST',
      body,
      from,
      headers: { 'x-stack-project-id': id, ...keys },
    })
  const asServer = {
    'x-stack-access-type': 'server',
    'x-stack-secret-server-key': String(made['secret_server_key']),
  }
  const asPage = {
    'x-stack-access-type': 'client',
    'x-stack-publishable-client-key': String(made['pub_client_key']),
  }
  for (let person = 0; person < people; person++) {
    say(`${person} of ${people} people`)
    const body = { primary_email: emailOf(person), primary_email_auth_enabled: true, password }
    const { status } = await stack('/users', body, '127.0.0.1', asServer)
    if (status >= 300) throw new Error(`a user was answered ${status}`)
  }
  const surface = `${server.origin}/${project.endpointId}/neondb/auth`
  const signedIn = await ask(`${surface}/sign-in/email`, {
    method: 'POST',
    body: { email: emailOf(0), password },
    from: '127.0.0.1',
    headers: { origin: 'http://localhost:3000' },
  })
  const cookie = signedIn.cookies.map((each) => each.split(';')[0]).join('; ')
  if (cookie === '') throw new Error(`a sign-in was answered ${signedIn.status}`)
  let asked = 0
  // Many look at pages; each from a place of his own.
  const somewhere = (): string => `127.0.3.${(asked++ % 200) + 1}`
  return {
    signIn: (person, from) =>
      stack('/auth/password/sign-in', { email: emailOf(person % people), password }, from, asPage),
    keySet: () => ask(`${surface}/.well-known/jwks.json`, { from: somewhere(), agent }),
    session: () => ask(`${surface}/get-session`, { from: somewhere(), agent, headers: { cookie } }),
  }
}

const emailOf = (person: number): string => `person${person}@example.com`

type Watched = { replies: Reply[]; keySet: number[]; session: number[] }

/** Sign-ins come from so many addresses that none of them asks too often. */
async function watch(app: App, perSecond: number, seconds: number): Promise<Watched> {
  const times = async (ask: () => Promise<Reply>, everyMs: number): Promise<Reply[]> => {
    const replies: Promise<Reply>[] = []
    const begun = performance.now()
    for (let i = 0; i * everyMs < seconds * 1000; i++) {
      await delay(Math.max(0, begun + i * everyMs - performance.now()))
      replies.push(ask())
    }
    return await Promise.all(replies)
  }
  let person = 0
  const signIn = (): Promise<Reply> => {
    const at = person++
    return app.signIn(at, `127.0.1.${(at % 100) + 1}`)
  }
  const [replies, keySet, session] = await Promise.all([
    perSecond === 0 ? [] : times(signIn, 1000 / perSecond),
    times(app.keySet, keySetEveryMs),
    times(app.session, sessionEveryMs),
  ])
  for (const { status } of [...keySet, ...session]) if (status !== 200) throw new Error(`a page was answered ${status}`)
  return { replies, keySet: keySet.map(({ ms }) => ms), session: session.map(({ ms }) => ms) }
}

function ask(
  url: string,
  {
    method = 'GET',
    body,
    from,
    headers = {},
    agent = false,
  }: { method?: string; body?: unknown; from: string; headers?: Record<string, string>; agent?: Agent | false },
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const begun = performance.now()
  const json = body === undefined ? {} : { 'content-type': 'application/json' }
  const sent = httpRequest(url, { method, agent, localAddress: from, headers: { ...json, ...headers } }, (response) => {
    buffer(response).then(
      () =>
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: Number(response.headers['retry-after'] ?? 0),
          ms: performance.now() - begun,
          cookies: response.headers['set-cookie'] ?? [],
        }),
      reject,
    )
  })
  sent.on('error', reject)
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  return promise
}

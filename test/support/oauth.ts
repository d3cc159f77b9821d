// Sign-in with a provider for tests: a provider that says what it is told to, and a browser that goes where it is sent.

import { createHash, randomBytes } from 'node:crypto'
import { OAuth2Server } from 'oauth2-mock-server'

export type Claims = Record<string, unknown>

export type TestProvider = AsyncDisposable & {
  /** As `PGROVE_AUTH_CONFIG` names them. */
  endpoints: Record<'issuer' | 'authorization_url' | 'token_url' | 'userinfo_url' | 'jwks_url', string>
  /** Who signs in next, and from then on. */
  person: Claims
  /** Of the next answer of its token endpoint. */
  tamper: ((claims: Claims) => void) | undefined
  answers: ((body: Record<string, unknown>) => void) | undefined
  /** What its token endpoint was asked. */
  grants: Record<string, string>[]
}

type Signed = { payload: Claims }
type Answered = { body: Record<string, unknown> }

export async function startProvider(): Promise<TestProvider> {
  const server = new OAuth2Server()
  await server.issuer.keys.generate('RS256')
  await server.start(0, '127.0.0.1')
  const url = `http://127.0.0.1:${server.address().port}`
  server.issuer.url = url
  const provider: TestProvider = {
    endpoints: {
      issuer: url,
      authorization_url: `${url}/authorize`,
      token_url: `${url}/token`,
      userinfo_url: `${url}/userinfo`,
      jwks_url: `${url}/jwks`,
    },
    person: {},
    tamper: undefined,
    answers: undefined,
    grants: [],
    [Symbol.asyncDispose]: () => server.stop(),
  }
  server.service.on('beforeTokenSigning', ({ payload }: Signed) => {
    Object.assign(payload, provider.person)
    provider.tamper?.(payload)
  })
  server.service.on('beforeResponse', ({ body }: Answered, request: { body?: Record<string, string> }) => {
    provider.grants.push({ ...request.body })
    provider.answers?.(body)
    provider.tamper = undefined
    provider.answers = undefined
  })
  server.service.on('beforeUserinfo', (answer: Answered) => {
    answer.body = { ...provider.person }
  })
  return provider
}

/** One person's browser. */
export class TestBrowser {
  readonly #jars = new Map<string, Map<string, string>>()
  /** Everywhere it has been, the last one last. */
  readonly trail: string[] = []

  cookies(url: string | URL): string {
    return [...this.#jar(url)].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  forget(): void {
    this.#jars.clear()
  }

  async fetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    const cookies = this.cookies(url)
    if (cookies !== '') headers.set('cookie', cookies)
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    this.trail.push(String(url))
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';')
      const [name = '', ...value] = pair.split('=')
      if (attributes.some((one) => /^\s*max-age=0$/i.test(one))) this.#jar(url).delete(name.trim())
      else this.#jar(url).set(name.trim(), value.join('='))
    }
    return response
  }

  /** Follows redirects; ends at a page of the app, where nobody listens, or with an answer that leads nowhere. */
  async go(url: string | URL, app: string): Promise<{ url: URL; response: Response | undefined }> {
    let at = new URL(url)
    for (let hops = 0; hops < 20; hops++) {
      if (at.origin === app) return { url: at, response: undefined }
      const response = await this.fetch(at)
      const location = response.headers.get('location')
      if (location === null) return { url: at, response }
      at = new URL(location, at)
    }
    throw new Error('redirected too often')
  }

  #jar(url: string | URL): Map<string, string> {
    const { host } = new URL(url)
    const jar = this.#jars.get(host) ?? new Map<string, string>()
    this.#jars.set(host, jar)
    return jar
  }
}

export type Challenge = { codeVerifier: string; codeChallenge: string; state: string }

export function newChallenge(): Challenge {
  const codeVerifier = randomBytes(32).toString('base64url')
  return {
    codeVerifier,
    codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    state: randomBytes(16).toString('base64url'),
  }
}

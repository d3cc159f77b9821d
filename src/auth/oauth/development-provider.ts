// An identity provider for this machine: what `Sign in with Google` leads to where nobody has credentials of Google's.
//
// It lets anybody in as anybody, so it must not be reached from elsewhere: it listens on loopback only, on a port of its own that no proxy
// in front of pgrove knows of, and answers only to that name (a page elsewhere may have its own name lead to 127.0.0.1). Its clients are
// ours alone. Otherwise it is an OpenID Connect provider like others, and looked at with the same eyes: codes once and with PKCE, tokens
// signed.

import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import type { Logger } from '../../lib/logger.ts'
import { oauthProviderIds, type OauthProviderId } from '../../model/auth.ts'
import { errorChain } from '../../model/errors.ts'
import { clientById, isSame, isSecretOf, mac } from './development-clients.ts'
import { consentPage, errorPage, pageHeaders, type RememberedAccount } from './development-page.ts'
import { challengeOf } from './flow.ts'
import { nameOf } from './providers.ts'

export type DevelopmentProvider = {
  /** Without a slash at its end. */
  readonly origin: string
  close(): Promise<void>
}

const longestBody = 32 * 1024
const codeMs = 60_000
const formMs = 15 * 60_000
const tokenSeconds = 3600
const mostKept = 5_000
const mostRemembered = 10

type Code = {
  provider: OauthProviderId
  clientId: string
  redirectUri: string
  challenge: string
  nonce: string | undefined
  account: RememberedAccount
  expiresAt: number
}

type Token = { provider: OauthProviderId; clientId: string; account: RememberedAccount }

type Answer = { status: number; headers: Readonly<Record<string, string>>; body: string }

export async function startDevelopmentProvider(logger: Logger, port = 0): Promise<DevelopmentProvider> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true })
  const kid = randomBytes(8).toString('hex')
  const server = createServer({ maxHeaderSize: 32_768, headersTimeout: 15_000, requestTimeout: 30_000 })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const work = new Work(origin, { kid, privateKey, publicJwk: await exportJWK(publicKey) })
  server.on('request', (incoming, outgoing) => {
    answer(work, incoming)
      .catch((error: unknown) => {
        logger.error({ cause: errorChain(error) }, 'development identity provider failed')
        return page(500, errorPage('Something went wrong; it is in the log.'))
      })
      .then((answer) => write(outgoing, answer))
      .catch(() => outgoing.destroy())
  })
  return {
    origin,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(work: Work, incoming: IncomingMessage): Promise<Answer> {
  if (!work.isOurName(incoming.headers.host)) return page(421, errorPage('This is reached by its own name only.'))
  const url = URL.parse(incoming.url ?? '/', work.origin)
  if (!url) return page(404, errorPage('There is nothing here.'))
  const { method } = incoming
  if (method === 'GET' && url.pathname === '/jwks') return json(200, work.keySet())
  const [, name, what = ''] = url.pathname.split('/')
  const provider = oauthProviderIds.find((one) => one === name)
  if (!provider) return page(404, errorPage('There is nothing here.'))
  const form = method === 'POST' ? new URLSearchParams(await readBody(incoming)) : new URLSearchParams()
  switch (`${method} ${what}`) {
    case 'GET authorize':
      return work.ask(provider, url.searchParams)
    case 'POST authorize':
      return work.decide(provider, form)
    case 'POST token':
      return await work.grant(provider, form)
    case 'GET userinfo':
      return work.userinfo(provider, incoming.headers.authorization)
    default:
      return page(404, errorPage('There is nothing here.'))
  }
}

class Work {
  readonly origin: string
  readonly #key: { kid: string; privateKey: CryptoKey; publicJwk: JWK }
  readonly #codes = new Kept<Code>()
  readonly #accessTokens = new Kept<Token>()
  readonly #refreshTokens = new Kept<Token>()
  /** By integration: one project's testers are not another one's. */
  readonly #remembered = new Kept<RememberedAccount[]>()

  constructor(origin: string, key: { kid: string; privateKey: CryptoKey; publicJwk: JWK }) {
    this.origin = origin
    this.#key = key
  }

  isOurName(host: string | undefined): boolean {
    const { port } = new URL(this.origin)
    return host === `127.0.0.1:${port}` || host === `localhost:${port}`
  }

  keySet(): unknown {
    return { keys: [{ ...this.#key.publicJwk, kid: this.#key.kid, alg: 'EdDSA', use: 'sig' }] }
  }

  ask(provider: OauthProviderId, query: URLSearchParams): Answer {
    const client = clientById(query.get('client_id') ?? '')
    // Nobody is sent anywhere for a client that is not ours, or to where it does not belong.
    if (!client || query.get('redirect_uri') !== client.callbackUrl)
      return page(400, errorPage('This sign-in was not begun by an app on this machine. Begin again in the app.'))
    if (query.get('response_type') !== 'code' || query.get('code_challenge_method') !== 'S256')
      return page(400, errorPage('Only the code flow with PKCE (S256) is possible.'))
    const asked = JSON.stringify([provider, query.toString(), Date.now()])
    const html = consentPage({
      providerName: nameOf(provider),
      request: `${Buffer.from(asked).toString('base64url')}.${mac('form', asked)}`,
      emailHint: query.get('login_hint') ?? '',
      accounts: this.#remembered.get(client.integrationId) ?? [],
    })
    return page(200, html)
  }

  /** What comes from no page of ours is refused: no page elsewhere can have a form that signs its visitors in. */
  decide(provider: OauthProviderId, form: URLSearchParams): Answer {
    const query = readRequest(provider, form.get('request') ?? '')
    const client = clientById(query?.get('client_id') ?? '')
    if (!query || !client) return page(400, errorPage('This page is too old. Begin again in the app.'))
    const back = new URL(client.callbackUrl)
    back.searchParams.set('state', query.get('state') ?? '')
    back.searchParams.set('iss', `${this.origin}/${provider}`)
    if (form.get('decision') !== 'allow') {
      back.searchParams.set('error', 'access_denied')
      return redirect(back)
    }
    const account = readAccount(form)
    if (!account) return page(400, errorPage('This is not an e-mail address. Go back and try again.'))
    this.#remember(client.integrationId, account)
    const code = randomBytes(32).toString('base64url')
    this.#codes.set(code, {
      provider,
      clientId: query.get('client_id') ?? '',
      redirectUri: client.callbackUrl,
      challenge: query.get('code_challenge') ?? '',
      nonce: query.get('nonce') ?? undefined,
      account,
      expiresAt: Date.now() + codeMs,
    })
    back.searchParams.set('code', code)
    return redirect(back)
  }

  async grant(provider: OauthProviderId, form: URLSearchParams): Promise<Answer> {
    const clientId = form.get('client_id') ?? ''
    if (!clientById(clientId) || !isSecretOf(clientId, form.get('client_secret') ?? ''))
      return json(401, { error: 'invalid_client' })
    switch (form.get('grant_type') ?? '') {
      case 'authorization_code': {
        const code = this.#codes.take(form.get('code') ?? '')
        const isRight =
          code !== undefined &&
          code.provider === provider &&
          code.expiresAt > Date.now() &&
          code.clientId === clientId &&
          code.redirectUri === form.get('redirect_uri') &&
          isSame(code.challenge, challengeOf(form.get('code_verifier') ?? ''))
        return isRight ? json(200, await this.#tokens(code, code.nonce)) : json(400, { error: 'invalid_grant' })
      }
      case 'refresh_token': {
        const token = this.#refreshTokens.get(form.get('refresh_token') ?? '')
        const isRight = token?.provider === provider && token.clientId === clientId
        return isRight ? json(200, await this.#tokens(token, undefined)) : json(400, { error: 'invalid_grant' })
      }
      default:
        return json(400, { error: 'unsupported_grant_type' })
    }
  }

  userinfo(provider: OauthProviderId, authorization: string | undefined): Answer {
    const token = this.#accessTokens.get(/^Bearer (\S+)$/i.exec(authorization ?? '')?.[1] ?? '')
    return token?.provider === provider ? json(200, claimsOf(token)) : json(401, { error: 'invalid_token' })
  }

  async #tokens(token: Token, nonce: string | undefined): Promise<unknown> {
    const { provider, clientId, account } = token
    const kept: Token = { provider, clientId, account }
    const [accessToken, refreshToken] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')]
    this.#accessTokens.set(accessToken, kept)
    this.#refreshTokens.set(refreshToken, kept)
    const idToken = await new SignJWT({ ...claimsOf(kept), ...(nonce !== undefined && { nonce }) })
      .setProtectedHeader({ alg: 'EdDSA', kid: this.#key.kid })
      .setIssuer(`${this.origin}/${provider}`)
      .setAudience(clientId)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(this.#key.privateKey)
    return {
      access_token: accessToken,
      refresh_token: refreshToken,
      id_token: idToken,
      token_type: 'Bearer',
      expires_in: tokenSeconds,
      scope: 'openid email profile',
    }
  }

  #remember(integrationId: string, account: RememberedAccount): void {
    const others = (this.#remembered.get(integrationId) ?? []).filter(({ email }) => email !== account.email)
    this.#remembered.set(integrationId, [account, ...others].slice(0, mostRemembered))
  }
}

/** The same address is the same person, today and after a restart. */
function claimsOf({ provider, account }: Token): Record<string, unknown> {
  const sub = createHash('sha256').update(`${provider} ${account.email}`).digest('hex').slice(0, 32)
  return { sub, email: account.email, email_verified: account.isVerified, name: account.name || undefined }
}

function readRequest(provider: OauthProviderId, request: string): URLSearchParams | undefined {
  const [body = '', signature = ''] = request.split('.')
  const asked = Buffer.from(body, 'base64url').toString()
  if (!isSame(signature, mac('form', asked))) return undefined
  const [askedOf, query, at] = JSON.parse(asked) as [string, string, number]
  return askedOf === provider && Date.now() - at < formMs ? new URLSearchParams(query) : undefined
}

function readAccount(form: URLSearchParams): RememberedAccount | undefined {
  const email = (form.get('email') ?? '').trim().toLowerCase()
  if (email.length > 254 || !/^[^\s@<>"]+@[^\s@<>"]+$/.test(email)) return undefined
  return { email, name: (form.get('name') ?? '').trim().slice(0, 200), isVerified: form.get('verified') === 'on' }
}

/** As many as fit, the oldest go. */
class Kept<T> {
  readonly #values = new Map<string, T>()

  get(key: string): T | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: T): void {
    this.#values.delete(key)
    this.#values.set(key, value)
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= mostKept) break
      this.#values.delete(oldest)
    }
  }

  take(key: string): T | undefined {
    const value = this.#values.get(key)
    this.#values.delete(key)
    return value
  }
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of incoming as AsyncIterable<Buffer>) {
    size += part.length
    // The form is then one that lacks everything.
    if (size > longestBody) return ''
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

const page = (status: number, body: string): Answer => ({ status, headers: pageHeaders, body })

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
  body: JSON.stringify(body),
})

const redirect = (url: URL): Answer => ({
  status: 303,
  headers: { location: url.href, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' },
  body: '',
})

function write(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  outgoing.writeHead(status, headers)
  outgoing.end(body)
}

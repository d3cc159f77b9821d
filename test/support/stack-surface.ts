// Stack's surface on its own for a test: two projects over one database (as a branch and its copy would be), over HTTP as the edge would
// reach it. Requests come from whatever address a test says.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorResponse } from '../../src/auth/errors.ts'
import type { AuthInstance } from '../../src/auth/instance.ts'
import { readBody, toRequest, writeResponse } from '../../src/auth/node-http.ts'
import { handleStack } from '../../src/auth/stack/router.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { makeSigningKey, openSurface, type SurfaceChange, type TestSurface } from './auth-surface.ts'

export type StackKeys = { projectId: string; publishable: string; secret: string }

export type StackSurface = AsyncDisposable & {
  surface: TestSurface
  origin: string
  first: StackKeys
  second: StackKeys
  /** What was thrown and was no refusal. */
  defects: unknown[]
  /** The same users behind other settings, for the first project. */
  change: (change: SurfaceChange) => void
  send: (path: string, request?: StackRequest) => Promise<StackAnswer>
}

export type StackRequest = {
  method?: string
  keys?: StackKeys
  access?: 'client' | 'server'
  token?: string
  refreshToken?: string
  body?: unknown
  headers?: Record<string, string>
  address?: string
}

export type StackAnswer = { status: number; code: string | undefined; headers: Headers; body: Record<string, unknown> }

export async function openStackSurface(change: SurfaceChange = {}): Promise<StackSurface> {
  const surface = await openSurface(change)
  const defects: unknown[] = []
  const server = createServer((incoming, outgoing) => {
    void serve(incoming)
      .catch((error: unknown) => errorResponse(error))
      .then((response) => writeResponse(outgoing, response))
      .catch(() => outgoing.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
    error: (fields: unknown) => defects.push(fields),
  })

  const instances = new Map<string, AuthInstance>()
  const addProject = async (): Promise<StackKeys> => {
    const publishable = `pck_${randomBytes(32).toString('hex')}`
    const secret = `ssk_${randomBytes(32).toString('hex')}`
    const projectId = crypto.randomUUID()
    surface.change({
      target: {
        integrationId: projectId,
        provider: 'stack',
        stackUrl: `${origin}/api/v1`,
        signingKeys: [await makeSigningKey()],
        keys: [
          { kind: 'publishable', sha256: sha256(publishable) },
          { kind: 'secret', sha256: sha256(secret) },
        ],
      },
    })
    instances.set(projectId, surface.instance)
    return { projectId, publishable, secret }
  }
  const second = await addProject()
  const first = await addProject()

  async function serve(incoming: IncomingMessage): Promise<Response> {
    const path = (incoming.url ?? '').slice('/api/v1'.length)
    const body = await readBody(incoming)
    const request = toRequest(incoming, `http://stack.invalid/api/v1${path}`, body, new AbortController().signal)
    const clientAddress = request.headers.get('x-test-address') ?? '203.0.113.7'
    const findInstance = async (name: { kind: string; id?: string }): Promise<AuthInstance | undefined> =>
      instances.get(name.id ?? '')
    return await handleStack({ findInstance, logger }, { path, request, clientAddress })
  }

  return {
    surface,
    origin,
    first,
    second,
    defects,
    change(changed) {
      surface.change(changed)
      instances.set(first.projectId, surface.instance)
    },
    async send(path, { method, keys = first, access = 'client', token, refreshToken, body, headers, address } = {}) {
      const response = await fetch(`${origin}/api/v1${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        redirect: 'manual',
        headers: {
          'x-stack-project-id': keys.projectId,
          'x-stack-access-type': access,
          ...(access === 'client'
            ? { 'x-stack-publishable-client-key': keys.publishable }
            : { 'x-stack-secret-server-key': keys.secret }),
          ...(token !== undefined && { 'x-stack-access-token': token }),
          ...(refreshToken !== undefined && { 'x-stack-refresh-token': refreshToken }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(address !== undefined && { 'x-test-address': address }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        code: response.headers.get('x-stack-known-error') ?? undefined,
        headers: response.headers,
        body: (text.startsWith('{') ? JSON.parse(text) : { text }) as Record<string, unknown>,
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await surface[Symbol.asyncDispose]()
    },
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

// Sign-in on its own for a test: a real database with the schema, a control plane in memory, and the surface over HTTP as the edge would
// reach it. What mails and events there were is to be looked at.

import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import type pg from 'pg'
import { handleBetterAuth } from '../../src/auth/better-auth/handler.ts'
import type { AuthControlPlane, AuthEvent } from '../../src/auth/control-plane.ts'
import { errorResponse } from '../../src/auth/errors.ts'
import type { AuthInstance } from '../../src/auth/instance.ts'
import { AuthLimits } from '../../src/auth/limits.ts'
import { readBody, toRequest, writeResponse } from '../../src/auth/node-http.ts'
import { Passwords } from '../../src/auth/passwords.ts'
import { TenantDatabase } from '../../src/auth/tenant-database.ts'
import { connectAsAuth, ensureAuthRole } from '../../src/compute/auth/role.ts'
import { applyAuthSchema } from '../../src/compute/auth/schema.ts'
import { authRole } from '../../src/compute/postgres-service.ts'
import { TestComputes, testInstallations } from '../../src/compute/test-computes.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import type { AuthSettings } from '../../src/model/auth.ts'
import type { AuthMail, AuthTarget, SigningKey } from '../../src/model/auth-target.ts'
import { isAppError } from '../../src/model/errors.ts'
import { makeVerifier } from '../../src/pgwire/scram-verifier.ts'

const password = 'of the auth role'
const database = 'app'

export type TestSurface = AsyncDisposable & {
  baseUrl: string
  origin: string
  instance: AuthInstance
  mails: AuthMail[]
  events: AuthEvent[]
  /** How often the compute was asked for. */
  wakes: number
  /** Until set back, a wake fails with this. */
  wakeFails: Error | undefined
  /** What was thrown and was no refusal. */
  defects: unknown[]
  /** As `authRole`. */
  client: pg.Client
  /** The same users behind other settings. */
  change(change: SurfaceChange): void
}

export type SurfaceChange = {
  settings?: (settings: AuthSettings) => void
  trustedDomains?: readonly string[]
  target?: Partial<AuthTarget>
  limits?: AuthLimits
}

export async function openSurface(change: SurfaceChange = {}): Promise<TestSurface> {
  const [installation] = [...testInstallations.values()].slice(-1)
  if (!installation) throw new Error('no Postgres')
  const computes = await TestComputes.open(installation)
  const supervisor = computes.supervisor()
  const id = await computes.claimed(supervisor)
  const socketDir = `${computes.root}/run/${id}`
  await ensureAuthRole(
    await computes.service(supervisor, id, database),
    await makeVerifier(password, { iterations: 4096 }),
  )
  const client = await connectAsAuth({ major: installation.major, socketDir, password, database })
  await applyAuthSchema(client)
  const passwords = new Passwords()

  const controlPlane: AuthControlPlane = {
    findTarget: async () => surface.instance.target,
    wake: async () => {
      surface.wakes++
      if (surface.wakeFails) throw surface.wakeFails
      return { socketDir, generation: '1', password }
    },
    sendMail: async (_id, mail) => {
      surface.mails.push(mail)
    },
    recordEvents: async (_id, events) => {
      surface.events.push(...events)
    },
  }
  const databases: TenantDatabase[] = []
  const newInstance = (target: AuthTarget, limits: AuthLimits): AuthInstance => {
    const tenant = new TenantDatabase({
      integrationId: target.integrationId,
      role: authRole,
      database,
      controlPlane,
      logger: silentLogger,
    })
    databases.push(tenant)
    const shared = { developmentProvider: undefined, passwords, limits }
    return { ...shared, target, database: tenant, controlPlane, logger: silentLogger }
  }

  const server = createServer((incoming, outgoing) => {
    void serve(incoming)
      .catch((error: unknown) => {
        if (!isAppError(error)) surface.defects.push(error)
        return errorResponse(error)
      })
      .then((response) => writeResponse(outgoing, response))
      .catch(() => outgoing.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const root = `/ep-test/${database}/auth`

  async function serve(incoming: IncomingMessage): Promise<Response> {
    const path = (incoming.url ?? '').slice(root.length)
    const request = toRequest(incoming, surface.baseUrl + path, await readBody(incoming), new AbortController().signal)
    return await handleBetterAuth(surface.instance, { path, request, clientAddress: '203.0.113.7' })
  }

  const target = await makeTarget(origin + root)
  const surface: TestSurface = {
    baseUrl: origin + root,
    origin,
    instance: newInstance(target, new AuthLimits({ countsAddresses: false })),
    mails: [],
    events: [],
    wakes: 0,
    wakeFails: undefined,
    defects: [],
    client,
    change({ settings, trustedDomains, target: other, limits }) {
      const changed = {
        ...structuredClone(surface.instance.target),
        ...other,
        ...(trustedDomains && { trustedDomains }),
      }
      settings?.(changed.settings)
      surface.instance = newInstance(changed, limits ?? surface.instance.limits)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await client.end().catch(() => {})
      for (const tenant of databases) await tenant.close()
      await passwords.close()
      await computes[Symbol.asyncDispose]()
    },
  }
  surface.change(change)
  return surface
}

export async function makeSigningKey(): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return {
    kid: randomUUID(),
    publicJwk: { ...(await exportJWK(publicKey)) },
    privateJwk: { ...(await exportJWK(privateKey)) },
    createdAt: Date.now(),
  }
}

export async function makeTarget(baseUrl: string): Promise<AuthTarget> {
  return {
    integrationId: randomUUID(),
    version: 1,
    provider: 'better_auth',
    projectId: 'quiet-sea-12345678',
    projectName: 'notes',
    branchId: 'br-test',
    endpointId: 'ep-test',
    database,
    baseUrl,
    stackUrl: `${new URL(baseUrl).origin}/api/v1`,
    appName: 'Notes',
    settings: {
      emailAndPassword: {
        enabled: true,
        verificationMethod: 'link',
        requireVerification: false,
        autoSignInAfterVerification: true,
        sendVerificationOnSignUp: false,
        sendVerificationOnSignIn: false,
        disableSignUp: false,
      },
      organization: {
        enabled: true,
        organizationLimit: 10,
        membershipLimit: 100,
        creatorRole: 'owner',
        sendInvitationEmail: true,
      },
      magicLink: { enabled: true, expiresInMinutes: 5, disableSignUp: false },
      phoneNumber: { enabled: true, otpExpiresInSeconds: 300 },
      allowLocalhost: true,
      webhooks: { enabled: false, url: undefined, privateAllowed: false, events: [], timeoutSeconds: 5 },
    },
    trustedDomains: ['https://app.example.com', 'https://*.preview.example.com'],
    oauthProviders: [],
    signingKeys: [await makeSigningKey()],
    secret: randomBytes(32).toString('base64url'),
    keys: [],
  }
}

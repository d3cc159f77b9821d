// An app with sign-in on a test server, and what its pages would ask of the Stack surface.

import assert from 'node:assert/strict'
import { makeProject, type TestProject } from './neon.ts'
import { request, type Answer, type TestServer } from './server.ts'

export type AuthApp = {
  project: TestProject
  /** What the integration is called. */
  id: string
  publishableKey: string
  secretKey: string
  /** `path` below the integration's branch: `/auth…` */
  manage(method: string, path: string, body?: unknown): Promise<Answer>
  /** As a page of the app. `path` begins behind `/api/v1`. */
  stack(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  mailbox(): Promise<KeptMail[]>
}

export type KeptMail = {
  id: string
  kind: string
  created_at: string
  to: string
  subject: string
  text: string
  html: string
  links: string[]
}

export async function makeAuthApp(server: TestServer, provider = 'stack', project?: TestProject): Promise<AuthApp> {
  const at = project ?? (await makeProject(server))
  const manage: AuthApp['manage'] = (method, path, body) =>
    request(server, method, `/projects/${at.id}/branches/${at.branchId}${path}`, body)
  const { status, body } = await manage('POST', '/auth', { auth_provider: provider })
  assert.equal(status, 201, JSON.stringify(body))
  const id = String(body['auth_provider_project_id'])
  const publishableKey = String(body['pub_client_key'])
  return {
    project: at,
    id,
    publishableKey,
    secretKey: String(body['secret_server_key']),
    manage,
    async stack(method, path, sent, headers = {}) {
      const response = await fetch(`${server.origin}/api/v1${path}`, {
        method,
        headers: {
          'content-type': 'application/json',
          'x-stack-access-type': 'client',
          'x-stack-project-id': id,
          'x-stack-publishable-client-key': publishableKey,
          ...headers,
        },
        ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
      }
    },
    async mailbox() {
      const answer = await manage('GET', '/auth/mailbox?limit=200')
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
      return answer.body['mails'] as KeptMail[]
    },
  }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuthTarget } from '../model/auth-target.ts'
import { isAppError } from '../model/errors.ts'
import type { AuthControlPlane } from './control-plane.ts'
import { authControlPlaneMethods } from './rpc-control-plane.ts'

const id = '0f8fad5b-d9cb-469f-a165-70867728950e'
const asked: unknown[] = []
const plane: AuthControlPlane = {
  findTarget: async (name) => {
    asked.push(name)
    return { integrationId: id } as AuthTarget
  },
  wake: async (integrationId) => {
    asked.push(integrationId)
    return { socketDir: '/run', generation: '1', password: 'p' }
  },
  sendMail: async (integrationId, mail) => void asked.push([integrationId, mail]),
  recordEvents: async (integrationId, events) => void asked.push([integrationId, events]),
}
const methods = authControlPlaneMethods(plane)
const call = async (method: string, params: unknown): Promise<unknown> => await methods[method]?.(params)

const mail = { kind: 'magic_link', to: 'a@b.test', subject: 's', text: 't', html: '<p>t</p>' }
const event = { id, type: 'user.created', body: { user: {} }, at: 1 }

test('what is well formed goes on as it is, and nothing beside it', async () => {
  await call('findTarget', { kind: 'project', id, more: 1 })
  await call('findTarget', { kind: 'endpoint', endpointId: 'ep-a', database: 'my db' })
  await call('findTarget', { kind: 'endpoint', endpointId: 'ep-a' })
  await call('wake', { integrationId: id })
  await call('sendMail', { integrationId: id, mail: { ...mail, from: 'x' } })
  await call('recordEvents', { integrationId: id, events: [{ ...event, more: 1 }] })
  assert.deepEqual(asked, [
    { kind: 'project', id },
    { kind: 'endpoint', endpointId: 'ep-a', database: 'my db' },
    { kind: 'endpoint', endpointId: 'ep-a', database: undefined },
    id,
    [id, mail],
    [id, [event]],
  ])
})

test('control believes nothing else that it hears from a process that strangers talk to', async () => {
  const table: [method: string, params: unknown][] = [
    ['findTarget', undefined],
    ['findTarget', { kind: 'project', id: 'x' }],
    ['findTarget', { kind: 'project', id: [id] }],
    ['findTarget', { kind: 'endpoint', endpointId: "ep-a' or 1" }],
    ['findTarget', { kind: 'endpoint', endpointId: 'ep-a', database: 'a\0b' }],
    ['findTarget', { kind: 'endpoint', endpointId: 'ep-a', database: 'd'.repeat(64) }],
    ['findTarget', { kind: 'other', id }],
    ['wake', {}],
    ['wake', { integrationId: 7 }],
    ['sendMail', { integrationId: id }],
    ['sendMail', { integrationId: 'x', mail }],
    ['sendMail', { integrationId: id, mail: { ...mail, kind: 'spam' } }],
    ['sendMail', { integrationId: id, mail: { ...mail, to: 'a'.repeat(400) } }],
    ['sendMail', { integrationId: id, mail: { ...mail, html: 'a'.repeat(300_000) } }],
    ['sendMail', { integrationId: id, mail: { ...mail, text: 'a\0' } }],
    ['recordEvents', { integrationId: id, events: event }],
    ['recordEvents', { integrationId: id, events: [{ ...event, type: 'x' }] }],
    ['recordEvents', { integrationId: id, events: [{ ...event, id: 'x' }] }],
    ['recordEvents', { integrationId: id, events: [{ ...event, body: [] }] }],
    ['recordEvents', { integrationId: id, events: [{ ...event, body: { a: 'a'.repeat(70_000) } }] }],
    ['recordEvents', { integrationId: id, events: [{ ...event, at: Infinity }] }],
    ['recordEvents', { integrationId: id, events: Array.from({ length: 300 }, () => event) }],
  ]
  for (const [method, params] of table) {
    await assert.rejects(
      async () => call(method, params),
      (error) => isAppError(error, 'bad_request'),
      `${method} ${JSON.stringify(params)?.slice(0, 100)}`,
    )
  }
})

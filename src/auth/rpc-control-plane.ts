// Control as the auth process sees it, at the other end of the RPC; and the other end itself.
//
// Control does not trust the auth process, which strangers talk to: whatever comes in is checked here before it goes any further.

import type { RpcMethods } from '../lib/rpc.ts'
import { asRecord, isDatabaseName, isEndpointId, isText, isUuid } from '../lib/rpc-params.ts'
import { ToldTargets } from '../lib/told-targets.ts'
import { authEventTypes, type AuthEventType } from '../model/auth.ts'
import { authMailKinds, type AuthMail, type AuthTarget, type AuthTargetName } from '../model/auth-target.ts'
import { AppError } from '../model/errors.ts'
import type { WokenDatabase } from '../model/woken-database.ts'
import type { AuthControlPlane, AuthControlPlaneEvents, AuthEvent, TargetChanged } from './control-plane.ts'

/** A wake may replay much write-ahead log; how long a request waits for it is the request's concern. */
const wakeTimeoutMs = 120_000
const callTimeoutMs = 20_000
const longestMailBytes = 256 * 1024
const longestEventBytes = 64 * 1024
const mostEvents = 200

export class RpcAuthControlPlane
  extends ToldTargets<TargetChanged>
  implements AuthControlPlane, AuthControlPlaneEvents
{
  async findTarget(name: AuthTargetName): Promise<AuthTarget | undefined> {
    const target = await this.call('findTarget', name, callTimeoutMs)
    return (target as AuthTarget | null) ?? undefined
  }

  async wake(integrationId: string): Promise<WokenDatabase> {
    return (await this.call('wake', { integrationId }, wakeTimeoutMs)) as WokenDatabase
  }

  async sendMail(integrationId: string, mail: AuthMail): Promise<void> {
    await this.call('sendMail', { integrationId, mail }, callTimeoutMs)
  }

  async recordEvents(integrationId: string, events: readonly AuthEvent[]): Promise<void> {
    await this.call('recordEvents', { integrationId, events }, callTimeoutMs)
  }
}

/** What control serves to the auth process. */
export function authControlPlaneMethods(plane: AuthControlPlane): RpcMethods {
  return {
    findTarget: async (params) => (await plane.findTarget(readName(params))) ?? null,
    wake: (params) => plane.wake(readIntegrationId(params)),
    sendMail: (params) => plane.sendMail(readIntegrationId(params), readMail(params)),
    recordEvents: (params) => plane.recordEvents(readIntegrationId(params), readEvents(params)),
  }
}

function readName(params: unknown): AuthTargetName {
  const { kind, id, endpointId, database } = asRecord(params)
  if (kind === 'project' && isUuid(id)) return { kind, id }
  const isDatabase = database === undefined || isDatabaseName(database)
  if (kind === 'endpoint' && isEndpointId(endpointId) && isDatabase) return { kind, endpointId, database }
  throw new AppError('bad_request', 'not the name of an integration')
}

function readIntegrationId(params: unknown): string {
  const { integrationId } = asRecord(params)
  if (isUuid(integrationId)) return integrationId
  throw new AppError('bad_request', 'not the id of an integration')
}

function readMail(params: unknown): AuthMail {
  const { kind, to, subject, text, html } = asRecord(asRecord(params)['mail'])
  const known = authMailKinds.find((one) => one === kind)
  if (
    known &&
    isText(to, 320) &&
    isText(subject, 998) &&
    isText(text, longestMailBytes) &&
    isText(html, longestMailBytes)
  )
    return { kind: known, to, subject, text, html }
  throw new AppError('bad_request', 'not a mail')
}

function readEvents(params: unknown): AuthEvent[] {
  const { events } = asRecord(params)
  if (!Array.isArray(events) || events.length > mostEvents) throw new AppError('bad_request', 'not a list of events')
  return events.map((event: unknown) => {
    const { id, type, body, at } = asRecord(event)
    const known: AuthEventType | undefined = authEventTypes.find((one) => one === type)
    const isBody = typeof body === 'object' && body !== null && !Array.isArray(body)
    if (!known || !isUuid(id) || !isBody || typeof at !== 'number' || !Number.isFinite(at))
      throw new AppError('bad_request', 'not an event')
    if (Buffer.byteLength(JSON.stringify(body)) > longestEventBytes)
      throw new AppError('bad_request', 'an event is too long')
    return { id, type: known, body: body as Record<string, unknown>, at }
  })
}

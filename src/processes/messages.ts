// What the watching process and its children say to each other over Node's IPC channel.

import type { EdgeSettings } from './edge-settings.ts'
import type { ServiceName } from '../model/service-routes.ts'
import { errorChain, isAppError } from '../model/errors.ts'

export type Ports = { pg: number; http: number; https: number | undefined }

export type ToControl = { kind: 'listening'; ports: Ports } | { kind: 'stop'; computes: boolean }

export type FromControl =
  | { kind: 'progress'; text: string }
  | { kind: 'ready'; ready: ControlReady }
  | { kind: 'failed'; message: string; code: string; cause?: string | undefined }
  /** The answer to `listening`: a string that works when pasted, where there is a project to connect to. */
  | { kind: 'connection'; uri: string | undefined }
  | { kind: 'stopped' }

export type ControlReady = {
  storage: string
  apiKey: string
  apiKeyIsNew: boolean
  domain: string
  domainResolves: boolean
  /** PEM. */
  tls: { cert: string; key: string }
  /** Base64. */
  mockSecret: string
}

export type ToEdge =
  | { kind: 'listen'; settings: EdgeSettings }
  /** Whether a service can be asked. */
  | { kind: 'service'; service: ServiceName; isUp: boolean }
  | { kind: 'stop' }

export type FromEdge =
  | { kind: 'listening'; ports: Ports }
  /** Somebody asks for a service that is not there, as far as the edge knows. */
  | { kind: 'wanted'; service: ServiceName }
  | { kind: 'failed'; message: string; code: string; cause?: string | undefined }
  | { kind: 'stopped' }

/** To any service beside control; each has settings of its own. */
export type ToService<Settings> = { kind: 'serve'; settings: Settings } | { kind: 'stop' }

export type FromService =
  | { kind: 'serving' }
  | { kind: 'failed'; message: string; code: string; cause?: string | undefined }
  | { kind: 'stopped' }

/** What is shown of an error that ends a start: the message, and beneath it what led to it. */
export function toFailure(error: unknown): { kind: 'failed'; message: string; code: string; cause?: string } {
  if (!isAppError(error)) return { kind: 'failed', message: errorChain(error), code: 'internal' }
  const cause = error.cause === undefined ? {} : { cause: errorChain(error.cause) }
  return { kind: 'failed', message: error.message, code: error.code, ...cause }
}

// What the watching process and its two children say to each other over Node's IPC channel.

import type { EdgeSettings } from './edge-settings.ts'

export type Ports = { pg: number; http: number; https: number | undefined }

export type ToControl = { kind: 'listening'; ports: Ports } | { kind: 'stop'; computes: boolean }

export type FromControl =
  | { kind: 'progress'; text: string }
  | { kind: 'ready'; ready: ControlReady }
  | { kind: 'failed'; message: string; code: string }
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
}

export type ToEdge = { kind: 'listen'; settings: EdgeSettings } | { kind: 'stop' }

export type FromEdge =
  | { kind: 'listening'; ports: Ports }
  | { kind: 'failed'; message: string; code: string }
  | { kind: 'stopped' }

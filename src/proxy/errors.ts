// What a database client reads when a connection cannot be made: one table from AppError codes to SQLSTATE and text.
//
// Texts are those of Neon's proxy, since drivers and people match on them. SQLSTATEs are ours: Neon sends XX000 for everything, which tells
// a client nothing about whether to try again. Codes without a text of their own here never show their message: it may say
// something about the inside.

import { isAppError, type AppError, type ErrorCode } from '../model/errors.ts'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import { writeErrorResponse, type ErrorFields } from '../pgwire/error-fields.ts'
import { Refusal } from './refusal.ts'
import { ServerRefused } from './server-refused.ts'

type Wording = { sqlState: string; text: string; message: 'as_text' | 'as_detail' | 'hidden' }

const invalidAuthorization = '28000'
const cannotConnectNow = '57P03'
const adminShutdown = '57P01'
const idleSessionTimeout = '57P05'
const protocolViolation = '08P01'
const programLimitExceeded = '54000'
const invalidParameterValue = '22023'
const objectNotInPrerequisiteState = '55000'
const configurationLimitExceeded = '53400'
const tooManyConnections = '53300'
const diskFull = '53100'
const featureNotSupported = '0A000'
const internalError = 'XX000'

const temporarilyUnavailable =
  'Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or contact our support.'
const notFound =
  "The requested endpoint could not be found, or you don't have access to it. Please check the provided ID and try again."

const failed: Wording = { sqlState: internalError, text: 'Control plane request failed', message: 'hidden' }
const tryLater: Wording = { sqlState: cannotConnectNow, text: 'Control plane request failed', message: 'hidden' }
const noCompute: Wording = {
  sqlState: cannotConnectNow,
  text: "Couldn't connect to compute node",
  message: 'as_detail',
}

const wordings: Readonly<Record<ErrorCode, Wording>> = {
  endpoint_not_found: { sqlState: invalidAuthorization, text: notFound, message: 'as_detail' },
  not_found: { sqlState: invalidAuthorization, text: notFound, message: 'as_detail' },
  gone: { sqlState: invalidAuthorization, text: notFound, message: 'as_detail' },
  endpoint_disabled: {
    sqlState: objectNotInPrerequisiteState,
    text: 'Control plane request failed: endpoint is disabled',
    message: 'as_detail',
  },
  quota_exceeded: { sqlState: configurationLimitExceeded, text: temporarilyUnavailable, message: 'as_text' },
  rate_limited: {
    sqlState: tooManyConnections,
    text: 'Too many connections to this endpoint. Please try again later.',
    message: 'hidden',
  },
  locked: { sqlState: cannotConnectNow, text: temporarilyUnavailable, message: 'as_detail' },
  compute_start_failed: noCompute,
  compute_stop_failed: noCompute,
  storage_failed: noCompute,
  postgres_missing: noCompute,
  disk_full: { sqlState: diskFull, text: "Couldn't connect to compute node", message: 'as_detail' },
  unavailable: tryLater,
  control_database_unavailable: tryLater,
  not_implemented: { sqlState: featureNotSupported, text: 'Control plane request failed', message: 'as_detail' },
  // Only a point in time can be wrong in what is asked of control.
  bad_request: { sqlState: invalidParameterValue, text: 'Control plane request failed', message: 'as_text' },
  unauthorized: failed,
  forbidden: failed,
  already_exists: failed,
  not_acceptable: failed,
  precondition_failed: failed,
  unprocessable: failed,
  too_large: failed,
  internal: failed,
  command_failed: failed,
  config_invalid: failed,
  home_in_use: failed,
  port_taken: failed,
  schema_newer: failed,
  master_key_wrong: failed,
}

/** The bytes to send before closing; undefined where the peer is no Postgres client and gets nothing. */
export function errorResponseFor(error: unknown): Buffer | undefined {
  if (error instanceof ProtocolError) return undefined
  if (error instanceof ServerRefused) return error.response
  return writeErrorResponse(errorFieldsFor(error))
}

export function errorFieldsFor(error: unknown): ErrorFields {
  if (error instanceof Refusal) return error.fields
  if (isAppError(error)) return fieldsForAppError(error)
  return { severity: 'FATAL', sqlState: internalError, message: 'internal error' }
}

function fieldsForAppError(error: AppError): ErrorFields {
  const { sqlState, text, message } = wordings[error.code]
  switch (message) {
    case 'as_text':
      return { severity: 'FATAL', sqlState, message: error.message || text }
    case 'as_detail':
      return { severity: 'FATAL', sqlState, message: text, detail: error.message }
    case 'hidden':
      return { severity: 'FATAL', sqlState, message: text }
  }
}

/** For a session that is to go on: what was asked is refused, and nothing else. */
export function requestErrorFor(error: unknown): Buffer {
  return writeErrorResponse({ ...errorFieldsFor(error), severity: 'ERROR' })
}

export const refusals = {
  insecure: (): Refusal => new Refusal(invalidAuthorization, 'connection is insecure (try using `sslmode=require`)'),

  endpointNotSpecified: (): Refusal =>
    new Refusal(
      invalidAuthorization,
      "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support or pass the endpoint ID (first part of the domain name) as a parameter: '?options=endpoint%3D<endpoint-id>'. See more at https://neon.tech/sni",
    ),

  inconsistentEndpoints: (fromServerName: string, fromOptions: string): Refusal =>
    new Refusal(
      invalidAuthorization,
      `Inconsistent project name inferred from SNI ('${fromServerName}') and project option ('${fromOptions}').`,
    ),

  malformedEndpoint: (name: string): Refusal =>
    new Refusal(
      invalidAuthorization,
      `Project name ('${name.slice(0, 100)}') must contain only alphanumeric characters and hyphen.`,
    ),

  malformedPoint: (text: string): Refusal =>
    new Refusal(
      invalidParameterValue,
      `Point in time ('${text.slice(0, 100)}') must be given once, as neon_lsn:0/1A2B3C8 or neon_timestamp:2026-01-31T12:30:00Z.`,
    ),

  unsupportedProtocol: (major: number, minor: number): Refusal =>
    new Refusal(featureNotSupported, `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.2`),

  lostDuringLogin: (): Refusal =>
    new Refusal(cannotConnectNow, 'the compute was stopped while the connection was being made; connect again'),

  lostWhileIdle: (): Refusal =>
    new Refusal(adminShutdown, 'terminating connection: the compute was stopped; connect again'),

  noUserName: (): Refusal => new Refusal(invalidAuthorization, 'no PostgreSQL user name specified in startup packet'),

  addressNotAllowed: (address: string): Refusal =>
    new Refusal(
      invalidAuthorization,
      `This IP address ${address} is not allowed to connect to this endpoint. Please add it to the allowed list in the Neon console. Make sure to check for IPv4 or IPv6 addresses.`,
    ),

  blockedNetwork: (): Refusal =>
    new Refusal(invalidAuthorization, 'This connection is trying to access this endpoint from a blocked network.'),

  tooManyAttempts: (): Refusal =>
    new Refusal(tooManyConnections, 'Too many connections to this endpoint. Please try again later.'),

  lostServer: (): Refusal =>
    new Refusal(
      adminShutdown,
      'terminating connection: the compute ended while it was at work for this client; connect again',
    ),

  settingsRefused: (message: string): Refusal =>
    new Refusal(invalidParameterValue, 'the settings of this session cannot be had', { detail: message.slice(0, 500) }),

  protocolViolation: (): Refusal => new Refusal(protocolViolation, 'protocol violation'),

  statementTooLong: (most: number): Refusal =>
    new Refusal(
      programLimitExceeded,
      `a prepared statement through the pooler may have at most ${most} bytes; use the unpooled connection`,
    ),

  tooMuchKept: (): Refusal =>
    new Refusal(
      programLimitExceeded,
      'the pooler keeps too much for this client: unfinished messages or prepared statements',
      {
        hint: 'Close prepared statements that are not used any more, or use the unpooled connection.',
      },
    ),

  tooManySessions: (): Refusal =>
    new Refusal(tooManyConnections, 'Too many connections to this endpoint. Please try again later.'),

  queryWaitTimeout: (): Refusal =>
    new Refusal(protocolViolation, 'query_wait_timeout', {
      hint: 'All server connections of this role and database were busy for too long; end idle transactions or connect without the pooler.',
    }),

  tooManyClients: (): Refusal => new Refusal(protocolViolation, 'no more connections allowed (max_client_conn)'),

  unsupportedParameter: (name: string): Refusal =>
    new Refusal(
      protocolViolation,
      `unsupported startup parameter: ${name.slice(0, 100)}`.replace(': in options', ' in options') +
        '. Please use unpooled connection or remove this parameter from the startup package. More details: https://neon.tech/docs/connect/connection-errors#unsupported-startup-parameter',
    ),

  /** `message` names the quota: its compute is about to be stopped. */
  quotaExceeded: (message: string): Refusal => new Refusal(configurationLimitExceeded, message),

  heldTooLong: (reasons: readonly string[]): Refusal =>
    new Refusal(
      idleSessionTimeout,
      'terminating connection: it was idle, and its state would not survive the suspension of the compute',
      {
        detail: `The session holds what cannot be moved to another server connection: ${reasons.join(', ') || 'unknown state'}.`,
        hint: 'Connect again. Sessions without such state go on after a suspension as if nothing had been.',
      },
    ),

  authenticationFailed: (user: string): Refusal =>
    new Refusal('28P01', `password authentication failed for user '${user}'`),
} as const

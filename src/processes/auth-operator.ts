// The operator's file for sign-in, read once at the start: credentials at OAuth providers, and a mail server.
//
//   {"oauth": {"google": {"client_id": …, "client_secret": …, "issuer"?: …, "authorization_url"?: …, "token_url"?: …,
//                         "userinfo_url"?: …, "jwks_url"?: …, "microsoft_tenant_id"?: …}},
//    "smtp": {"host": …, "port": …, "username"?: …, "password"?: …, "sender_email": …, "sender_name": …}}

import { readFile } from 'node:fs/promises'
import { oauthProviderIds } from '../model/auth.ts'
import type { AuthOperator, OperatorSmtp, SharedOauthClient } from '../model/auth-operator.ts'
import type { OauthEndpoints } from '../model/auth-target.ts'
import { AppError } from '../model/errors.ts'
import { toMicrosoftTenant } from '../model/microsoft-tenant.ts'

export type AuthOperatorFile = Pick<AuthOperator, 'oauth' | 'smtp'>

/** Throws `config_invalid` that names the key. No value is part of a message: most are secrets. */
export async function readAuthOperator(file: string | undefined): Promise<AuthOperatorFile> {
  if (file === undefined) return { oauth: {}, smtp: undefined }
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch {
    throw new AppError('config_invalid', `PGROVE_AUTH_CONFIG: ${file} cannot be read as JSON`)
  }
  return parseAuthOperator(value)
}

export function parseAuthOperator(value: unknown): AuthOperatorFile {
  const file = new Section(value, '')
  const oauth = file.section('oauth')
  const smtp = file.section('smtp')
  const clients: AuthOperatorFile['oauth'] = Object.fromEntries(
    oauthProviderIds.flatMap((id) => {
      const section = oauth?.section(id)
      return section ? [[id, parseClient(section)]] : []
    }),
  )
  oauth?.assertNothingElse()
  file.assertNothingElse()
  return { oauth: clients, smtp: smtp && parseSmtp(smtp) }
}

const endpointKeys: readonly (readonly [key: string, name: keyof OauthEndpoints])[] = [
  ['issuer', 'issuer'],
  ['authorization_url', 'authorizationUrl'],
  ['token_url', 'tokenUrl'],
  ['userinfo_url', 'userinfoUrl'],
  ['jwks_url', 'jwksUrl'],
]

function parseClient(section: Section): SharedOauthClient {
  const endpoints: Partial<Record<keyof OauthEndpoints, string>> = {}
  for (const [key, name] of endpointKeys) {
    const url = section.url(key)
    if (url !== undefined) endpoints[name] = url
  }
  const client = {
    clientId: section.text('client_id'),
    clientSecret: section.text('client_secret'),
    microsoftTenantId: section.microsoftTenant('microsoft_tenant_id'),
    endpoints: Object.keys(endpoints).length > 0 ? endpoints : undefined,
  }
  section.assertNothingElse()
  return client
}

function parseSmtp(section: Section): OperatorSmtp {
  const smtp = {
    host: section.text('host'),
    port: section.port('port'),
    username: section.optionalText('username'),
    password: section.optionalText('password'),
    senderEmail: section.text('sender_email'),
    senderName: section.text('sender_name'),
  }
  section.assertNothingElse()
  return smtp
}

const longestText = 2048

/** One object of the file, whose keys are taken out one by one. */
class Section {
  readonly #path: string
  readonly #rest: Map<string, unknown>

  constructor(value: unknown, path: string) {
    this.#path = path
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new AppError('config_invalid', `PGROVE_AUTH_CONFIG: ${path === '' ? 'the file' : path} is no object`)
    this.#rest = new Map(Object.entries(value))
  }

  section(key: string): Section | undefined {
    const value = this.#take(key)
    return value === undefined ? undefined : new Section(value, this.#name(key))
  }

  optionalText(key: string): string | undefined {
    const value = this.#take(key)
    if (value === undefined) return undefined
    if (typeof value === 'string' && value !== '' && value.length <= longestText) return value
    throw this.#bad(key, 'write a text that is not empty')
  }

  text(key: string): string {
    const value = this.optionalText(key)
    if (value === undefined) throw this.#bad(key, 'it is missing')
    return value
  }

  url(key: string): string | undefined {
    const text = this.optionalText(key)
    if (text === undefined) return undefined
    const url = URL.canParse(text) ? new URL(text) : undefined
    const isPlain = url && url.username === '' && url.password === '' && url.hash === ''
    if (isPlain && (url.protocol === 'https:' || url.protocol === 'http:')) return text
    throw this.#bad(key, 'write an https URL')
  }

  microsoftTenant(key: string): string | undefined {
    const text = this.optionalText(key)
    try {
      return text && toMicrosoftTenant(text)
    } catch {
      throw this.#bad(key, 'write the id or domain name of a directory, or "common"')
    }
  }

  port(key: string): number {
    const value = this.#take(key)
    if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536) return value
    throw this.#bad(key, 'write a port, a number without quotes')
  }

  assertNothingElse(): void {
    const [unknown] = this.#rest.keys()
    if (unknown !== undefined) throw this.#bad(unknown, 'there is no such key')
  }

  #take(key: string): unknown {
    const value = this.#rest.get(key)
    this.#rest.delete(key)
    return value
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  #bad(key: string, why: string): AppError {
    return new AppError('config_invalid', `PGROVE_AUTH_CONFIG: ${this.#name(key.slice(0, 100))}: ${why}`)
  }
}

// What may be set on a Data API, beyond its shape. Pure.

import { parseJsPath } from '../../lib/js-path.ts'
import { namesIn, openapiModes, type DataApiSettings } from '../../model/data-api.ts'
import { AppError } from '../../model/errors.ts'
import { longestNameBytes } from '../../model/role.ts'

const mostSchemas = 100
const longestText = 4_096
const mostSeconds = 365 * 86_400

/** Throws `bad_request` that names the field. */
export function assertDataApiSettings(settings: DataApiSettings): void {
  const refuse = (field: string, what: string): never => {
    throw new AppError('bad_request', `settings.${field} ${what}`)
  }
  const assertName = (field: string, name: string): void => {
    const isName = name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= longestNameBytes
    if (!isName)
      refuse(field, `: ${JSON.stringify(name.slice(0, 100))} is no name of at most ${longestNameBytes} bytes`)
  }
  const assertCount = (field: string, value: number | undefined, least: number, most: number): void => {
    if (value === undefined) return
    if (!Number.isInteger(value) || value < least || value > most)
      refuse(field, `must be a whole number from ${least} to ${most}`)
  }
  const { db_anon_role: anonymous, db_schemas: schemas, openapi_mode: mode, jwt_role_claim_key: path } = settings
  if (anonymous) assertName('db_anon_role', anonymous)
  if (schemas) {
    if (schemas.length === 0 || schemas.length > mostSchemas)
      refuse('db_schemas', `must name 1 to ${mostSchemas} schemas`)
    for (const schema of schemas) assertName('db_schemas', schema)
  }
  for (const field of ['db_extra_search_path', 'server_cors_allowed_origins'] as const) {
    const text = settings[field] ?? ''
    // oxlint-disable-next-line no-control-regex -- these are what is looked for
    if (text.length > longestText || /[\u0000-\u001f\u007f]/.test(text))
      refuse(field, `must be one line of at most ${longestText} characters`)
  }
  for (const schema of namesIn(settings.db_extra_search_path ?? '')) assertName('db_extra_search_path', schema)
  assertCount('db_max_rows', settings.db_max_rows, 1, 2_147_483_647)
  assertCount('jwt_cache_max_lifetime', settings.jwt_cache_max_lifetime, 0, mostSeconds)
  if (mode !== undefined && !openapiModes.includes(mode))
    refuse('openapi_mode', `must be one of ${openapiModes.join(', ')}`)
  if (path !== undefined && parseJsPath(path) === undefined)
    refuse('jwt_role_claim_key', `must be a path such as .role or ."https://example.com/role"`)
}

// What callers hand in, read field by field: nothing reaches SQL, a mail or a token that was not asked for by name and looked at.

import { schemaError } from './errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export const longestBody = 512 * 1024
const longestText = 2048
const longestName = 256
const longestUrl = 4096
const longestEmail = 254
const longestMetadataBytes = 64 * 1024
const deepest = 64

/** Neither JSON nor text columns of Postgres take these: better refused by us, in words, than by it. */
export function assertStorable(value: unknown, depth = 0): void {
  if (depth > deepest) throw schemaError('the body is nested too deeply')
  if (typeof value === 'string') {
    if (value.includes('\0')) throw schemaError('text must not contain NUL characters')
    if (!value.isWellFormed()) throw schemaError('text must be well-formed Unicode')
  } else if (Array.isArray(value)) {
    for (const item of value) assertStorable(item, depth + 1)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      assertStorable(key, depth + 1)
      assertStorable(item, depth + 1)
    }
  }
}

export function optionalText(fields: Fields, name: string, longest = longestText): string | undefined {
  const value = fields[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw schemaError(`${name} must be a string`)
  if (value.length > longest) throw schemaError(`${name} must be at most ${longest} characters long`)
  return value
}

export function text(fields: Fields, name: string, longest = longestText): string {
  const value = optionalText(fields, name, longest)
  if (value === undefined || value === '') throw schemaError(`${name} is required`)
  return value
}

export function nullableText(fields: Fields, name: string, longest = longestText): string | null | undefined {
  return fields[name] === null ? null : optionalText(fields, name, longest)
}

export const nullableName = (fields: Fields, name: string): string | null | undefined =>
  nullableText(fields, name, longestName)

export function flag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name]
  if (value !== undefined && typeof value !== 'boolean') throw schemaError(`${name} must be a boolean`)
  return value
}

/** Shown as an image by the pages of whoever reads it: a `javascript:` URL has no business there. */
export function nullableImageUrl(fields: Fields, name: string): string | null | undefined {
  const value = nullableText(fields, name, longestUrl)
  if (value === undefined || value === null || value === '') return value === '' ? null : value
  if (Buffer.byteLength(value) > longestUrl) throw schemaError(`${name} must be at most ${longestUrl} bytes long`)
  if (/^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$/.test(value)) return value
  const protocol = URL.parse(value)?.protocol
  if (protocol !== 'https:' && protocol !== 'http:') throw schemaError(`${name} must be an http(s) URL`)
  return value
}

export function metadata(fields: Fields, name: string): unknown {
  const value = fields[name]
  if (value === undefined) return undefined
  if (Buffer.byteLength(JSON.stringify(value)) > longestMetadataBytes)
    throw schemaError(`${name} must be at most ${longestMetadataBytes} bytes long`)
  return value
}

/** Forms of the same address are one: full-width letters, capitals, a blank from copying. */
export function toEmailAddress(value: string, name = 'email'): string {
  const address = value.normalize('NFKC').trim().toLowerCase()
  const isAddress =
    address.length <= longestEmail &&
    /^[^\s@"<>(),:;\\[\]\p{Cc}]{1,64}@(?:[\p{L}\p{N}-]{1,63}\.)+[\p{L}\p{N}-]{2,63}$/u.test(address)
  // In the tables, such an address stands for none.
  if (!isAddress || address.endsWith('.invalid')) throw schemaError(`${name} must be an e-mail address`)
  return address
}

export const email = (fields: Fields, name = 'email'): string => toEmailAddress(text(fields, name), name)

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export const isUuid = (value: string): boolean => uuidForm.test(value)

export function numberInQuery(query: URLSearchParams, name: string, most: number): number | undefined {
  const value = query.get(name)
  if (value === null) return undefined
  const number = Number(value)
  if (!/^\d{1,6}$/.test(value) || number < 1) throw schemaError(`${name} must be a positive number`)
  return Math.min(number, most)
}

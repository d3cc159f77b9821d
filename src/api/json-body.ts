// Reads request bodies. They are JSON whatever the content type says (`curl -d` calls it a form); an empty one is none.

import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../model/errors.ts'
import { assertCleanJson } from './clean-text.ts'

/** Large enough for 10,000 of anything the contract lists. */
export const bodyLimitBytes = 1024 * 1024
/** Beyond this nobody waits for the end of a body that is refused anyway. */
const longestUploadBytes = 64 * 1024 * 1024

export function readJsonBodies(server: FastifyInstance): void {
  // Fastify's own parser refuses keys that would change an object's prototype (`__proto__`) once somebody copies them.
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  const parseJson = (request: FastifyRequest, text: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      void parse(request, text, (cause, value: unknown) => {
        if (!cause) return resolve(value)
        reject(new AppError('bad_request', 'invalid request: decode application/json: malformed JSON', { cause }))
      })
    })
  server.addContentTypeParser('*', async (request: FastifyRequest, payload: Readable) => {
    const text = decode(await readUpTo(payload, bodyLimitBytes))
    if (text.trim() === '') return undefined
    const value = await parseJson(request, text)
    assertCleanJson(value)
    return value
  })
}

/**
 * A body that is too long is read to its end and thrown away: a client that is still sending when the connection is closed gets a
 * reset in place of the answer. One that has no end is cut off.
 */
async function readUpTo(payload: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of payload as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length <= limitBytes) chunks.push(chunk)
      else chunks.length = 0
      if (length > longestUploadBytes) break
    }
  } catch (cause) {
    throw new AppError('bad_request', 'invalid request: the body broke off', { cause })
  }
  if (length > limitBytes) throw new AppError('too_large', 'request body is too large')
  return Buffer.concat(chunks)
}

/** Throws where bytes would be lost: a name that reads back as another is worse than a refusal. */
function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new AppError('bad_request', 'invalid request: the body is not valid UTF-8', { cause })
  }
}

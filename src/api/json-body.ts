// Reads request bodies. They are JSON whatever the content type says (`curl -d` calls it a form); an empty one is none.

import type { FastifyInstance } from 'fastify'
import { AppError } from '../model/errors.ts'
import { assertCleanJson } from './clean-text.ts'

/** Large enough for 10,000 of anything the contract lists. */
export const bodyLimitBytes = 1024 * 1024

export function readJsonBodies(server: FastifyInstance): void {
  // Fastify's own parser refuses keys that would change an object's prototype (`__proto__`) once somebody copies them.
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: bodyLimitBytes }, (request, bytes, done) => {
    const body = decode(bytes as Buffer)
    if (body === undefined) return done(new AppError('bad_request', 'invalid request: the body is not valid UTF-8'))
    if (body.trim() === '') return done(null, undefined)
    void parse(request, body, (error, value: unknown) => {
      if (error)
        return done(
          new AppError('bad_request', 'invalid request: decode application/json: malformed JSON', { cause: error }),
        )
      try {
        assertCleanJson(value)
        done(null, value)
      } catch (refusal) {
        done(refusal as Error)
      }
    })
  })
}

/** Undefined where bytes would be lost: a name that reads back as another is worse than a refusal. */
function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

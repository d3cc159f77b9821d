// `GET /metrics` beside the API: for Prometheus, which sends an API key as its bearer token.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Control } from '../control/control.ts'
import { authenticate } from './authn.ts'

export function addMetrics(
  server: FastifyInstance,
  control: Control,
  peerOf: (request: FastifyRequest) => string,
): void {
  server.get('/metrics', async (request, reply) => {
    const caller = await authenticate(control, request.headers.authorization, peerOf(request))
    const { contentType, text } = await control.metrics.read(caller)
    return await reply.header('content-type', contentType).send(text)
  })
}

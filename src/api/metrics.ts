// `GET /metrics` beside the API: for Prometheus, which sends an API key as its bearer token.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Control } from '../control/control.ts'
import type { Callers } from './callers.ts'

export function addMetrics(
  server: FastifyInstance,
  control: Control,
  callers: Callers,
  peerOf: (request: FastifyRequest) => string,
): void {
  server.get('/metrics', async (request, reply) => {
    const caller = await callers.identify(request.headers.authorization, peerOf(request), 'metrics')
    await control.rateLimits.take(caller, 'metrics')
    const { contentType, text } = await control.metrics.read(caller)
    return await reply.header('content-type', contentType).send(text)
  })
}

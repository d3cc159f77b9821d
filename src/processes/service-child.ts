// A service beside control as a child of `pgrove start`: told once what to serve, and when to stop.

import { createLogger, type Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import type { ServiceName } from '../model/service-routes.ts'
import type { ServiceSettings } from './service-settings.ts'
import { toFailure, type FromService, type ToService } from './messages.ts'

export type RunningService = { stop(): Promise<void> }

const tell = (message: FromService): void => {
  if (process.connected) process.send?.(message)
}

/** `serve`: is given what its own parent has told it. */
export function runServiceChild(
  name: ServiceName,
  serve: (settings: ServiceSettings, logger: Logger) => Promise<RunningService>,
): void {
  let running: RunningService | undefined
  const stop = async (): Promise<void> => {
    await running?.stop()
    tell({ kind: 'stopped' })
    process.exit(0)
  }
  const start = async (settings: ServiceSettings): Promise<void> => {
    const logger = createLogger({ level: settings.logLevel, process: name })
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) => {
        const stack = error instanceof Error ? error.stack : undefined
        logger.fatal({ cause: errorChain(error), stack }, `${name} ends`)
        process.exit(1)
      })
    }
    try {
      running = await serve(settings, logger)
      tell({ kind: 'serving' })
    } catch (error) {
      tell(toFailure(error))
      process.exit(1)
    }
  }
  process.on('message', (message) => {
    const heard = message as ToService<ServiceSettings>
    switch (heard.kind) {
      case 'serve':
        void start(heard.settings)
        return
      case 'stop':
        void stop()
    }
  })
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(0))
}

const drainMs = 5_000

/** Requests under way have a moment to end. */
export async function closeServer(server: {
  close(done: () => void): unknown
  closeAllConnections(): void
}): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const timer = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearTimeout(timer)
}

// The control process as a child of `pgrove start`: its life follows the messages of its parent, and ends with it.

import { readConfig } from '../config.ts'
import { openHome } from '../home.ts'
import { setFailpoints } from '../lib/failpoint.ts'
import { createLogger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import { toFailure, type FromControl, type ToControl } from './messages.ts'
import { startControl, type ControlProcess } from './control.ts'

const tell = (message: FromControl): void => {
  if (process.connected) process.send?.(message)
}

export async function runControlChild(): Promise<void> {
  const config = readConfig(process.env)
  setFailpoints(config.failpoints, [process.ppid])
  const logger = createLogger({ level: config.logLevel, process: 'control' })
  process.on('uncaughtException', (error) => {
    logger.fatal({ cause: errorChain(error), stack: error.stack }, 'control ends')
    process.exit(1)
  })
  process.on('unhandledRejection', (error) => {
    logger.fatal({ cause: errorChain(error), stack: error instanceof Error ? error.stack : undefined }, 'control ends')
    process.exit(1)
  })
  let running: ControlProcess
  try {
    const home = await openHome(config.home, config.isRoot)
    running = await startControl({ config, home, logger, progress: (text) => tell({ kind: 'progress', text }) })
  } catch (error) {
    logger.error(
      { cause: errorChain(error), stack: error instanceof Error ? error.stack : undefined },
      'control could not start',
    )
    tell(toFailure(error))
    process.exitCode = 1
    process.disconnect()
    return
  }
  let stopping = false
  const stop = async (computes: boolean): Promise<void> => {
    if (stopping) return
    stopping = true
    try {
      await running.stop({ computes })
      tell({ kind: 'stopped' })
      process.exit(0)
    } catch (error) {
      logger.error({ cause: errorChain(error) }, 'control did not stop cleanly')
      process.exit(1)
    }
  }
  process.on('message', (message) => {
    const heard = message as ToControl
    switch (heard.kind) {
      case 'listening':
        running.setPorts(heard.ports)
        running
          .exampleConnection()
          .catch((error: unknown) => {
            logger.warn({ cause: errorChain(error) }, 'no example connection')
          })
          .then((uri) => tell({ kind: 'connection', uri: uri ?? undefined }))
          .catch(() => {})
        return
      case 'stop':
        void stop(heard.computes)
    }
  })
  // Signals reach the whole foreground group; what is to be done about them is the parent's decision.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  // A parent that died says nothing: databases stay up, and the next start adopts them.
  process.on('disconnect', () => void stop(false))
  tell({ kind: 'ready', ready: running.ready })
}

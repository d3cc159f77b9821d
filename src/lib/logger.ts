// One line of JSON an event. `error`: a person must look; `warn`: odd but went on; `info`: a state changed.

import { pino, type Logger } from 'pino'

export type { Logger }

const secretPaths = [
  'password',
  '*.password',
  'key',
  '*.key',
  'authorization',
  '*.authorization',
  'headers.authorization',
]

export function createLogger(options: { level: string; process: string; destination?: number | string }): Logger {
  return pino(
    {
      level: options.level,
      base: { process: options.process, pid: process.pid },
      redact: { paths: secretPaths, censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: options.destination ?? 2, sync: true }),
  )
}

export const silentLogger: Logger = pino({ level: 'silent' })

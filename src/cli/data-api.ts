// `pgrove data-api`: a REST API over any Postgres, as PostgREST is one. Nothing else of pgrove runs.

import { readFile } from 'node:fs/promises'
import { configOfEnvironment, parseConfigFile } from '../data-api/configuration/config-file.ts'
import { StandaloneApi, type Said } from '../data-api/standalone/standalone-api.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { Printer } from './printer.ts'

export type DataApiArguments = {
  dbUri: string | undefined
  host: string | undefined
  port: string | undefined
  /** A file in PostgREST's format. */
  config: string | undefined
}

/** They may stand in a file of their own: `@/path`. */
const mayBeFiles = ['jwt-secret', 'db-uri'] as const

export async function dataApi(given: DataApiArguments, printer: Printer): Promise<void> {
  const service = await StandaloneApi.start(() => read(given))
  for (const warning of service.warnings) printer.line(warning)
  process.on('SIGUSR1', () => service.reloadSchema())
  process.on('SIGUSR2', () => service.reloadConfig())
  await service.relations().then(
    (relations) => printer.line(`schema cache: ${relations} relations`),
    (error: unknown) => printer.line(`the database cannot be read yet: ${errorChain(error)}`),
  )
  printer.line(`data api   ${service.place}`)
  if (service.adminPlace !== undefined) printer.line(`admin      ${service.adminPlace}`)
  printer.line('ready')
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
  await service.close()
}

/** Arguments come before variables, and those before the file. */
async function read({ dbUri, host, port, config: file }: DataApiArguments): Promise<Said> {
  try {
    const ofFile = file === undefined ? [] : parseConfigFile(await readFile(file, 'utf8'), process.env)
    const said = new Map([...ofFile, ...configOfEnvironment(process.env)])
    if (dbUri !== undefined) said.set('db-uri', dbUri)
    if (host !== undefined) said.set('server-host', host)
    if (port !== undefined) said.set('server-port', port)
    for (const name of mayBeFiles) {
      const value = said.get(name)
      if (value?.startsWith('@')) said.set(name, (await readFile(value.slice(1), 'utf8')).replace(/\r?\n$/, ''))
    }
    return said
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new AppError('config_invalid', `the configuration of the Data API: ${what}`, { cause })
  }
}

// The `pgrove` command. Reads the arguments, loads what the command needs and nothing else, and turns a failure into one clear line.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createPrinter } from './cli/printer.ts'
import { readConfig } from './config.ts'
import { errorChain, isAppError } from './model/errors.ts'
import { serviceNames } from './model/service-routes.ts'

const help = `pgrove: a self-hosted Postgres platform that answers the Neon API

  pgrove start               start everything, in the foreground (SIGTERM or Ctrl-C stops it)
  pgrove status              what runs, and why each compute is awake
  pgrove doctor              what this machine offers: Postgres, storage, ports, names
  pgrove postgres add MAJOR  fetch another major version of Postgres (14 to 18) with npm
  pgrove org …               organizations and what each may have: list, limits, credits, rate-limit, create
  pgrove data-api --db-uri URI [--port N] [--config FILE]   a REST API over any Postgres, as PostgREST is one
  pgrove reset --yes         remove everything below the home folder
  pgrove --help, --version

Environment, all optional (see README.md): PGROVE_HOME, PGROVE_HTTP_PORT, PGROVE_HTTP_HOST, PGROVE_HTTPS_PORT, PGROVE_PG_PORT,
PGROVE_PG_HOST, PGROVE_API_KEY, PGROVE_DOMAIN, PGROVE_CONTROL_DATABASE_URL, PGROVE_STORAGE, PGROVE_MASTER_KEY, PGROVE_PG_<major>,
PGROVE_RATE_LIMIT, PGROVE_PRICES, PGROVE_AUTH_CONFIG, PGROVE_DEV_IDP, PGROVE_TRUSTED_PROXIES
`

const out = createPrinter(process.stdout)
const err = createPrinter(process.stderr)

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
      yes: { type: 'boolean' },
      plan: { type: 'string' },
      'db-uri': { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      config: { type: 'string' },
    },
  })
  if (values.version) return out.line(version())
  const [command, ...rest] = positionals
  if (values.help || command === undefined || command === 'help') return out.line(help)
  switch (command) {
    case 'start':
      return await (await import('./cli/start.ts')).start(readConfig(process.env), out)
    case 'status':
      return await (await import('./cli/status.ts')).status(readConfig(process.env), out)
    case 'doctor':
      return await (await import('./cli/doctor.ts')).doctor(readConfig(process.env), out)
    case 'reset':
      return await (await import('./cli/reset.ts')).reset(readConfig(process.env), out, values.yes === true)
    case 'postgres':
      return await (await import('./cli/postgres.ts')).postgres(readConfig(process.env), out, rest)
    case 'org':
      return await (await import('./cli/org.ts')).org(readConfig(process.env), out, rest, { plan: values.plan })
    case 'data-api': {
      const { 'db-uri': dbUri, host, port, config } = values
      const { dataApi } = await import('./cli/data-api.ts')
      return await dataApi({ dbUri, host, port, config }, out)
    }
    // What `start` runs as its children.
    case 'control':
      return await (await import('./processes/control-child.ts')).runControlChild()
    case 'edge':
      return (await import('./processes/edge-child.ts')).runEdgeChild()
    case 'service':
      return await runService(rest[0])
    default:
      err.line(`pgrove: there is no command ${JSON.stringify(command)}\n`)
      err.line(help)
      process.exitCode = 2
  }
}

async function runService(name: string | undefined): Promise<void> {
  switch (serviceNames.find((each) => each === name)) {
    case 'auth':
      return (await import('./processes/auth-child.ts')).runAuthChild()
    case 'data-api':
      return (await import('./processes/data-api-child.ts')).runDataApiChild()
    case undefined:
      process.exitCode = 2
  }
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

try {
  await main()
} catch (error) {
  const wrongArguments = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  err.line(`pgrove: ${isAppError(error) || wrongArguments ? (error as Error).message : errorChain(error)}`)
  if (isAppError(error) && error.cause !== undefined) err.line(`  because: ${errorChain(error.cause)}`)
  process.exitCode = wrongArguments ? 2 : 1
}

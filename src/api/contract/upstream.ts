// Finds upstream's OpenAPI document in the installed package and reads it.
//
// Reading half a megabyte of YAML leaves 50 to 70 MB behind in the process that does it, for good, be it in a thread of its own. So
// a child process does it: this file is its own program. It happens once an installation, load.ts keeps the result.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../lib/run.ts'
import { AppError } from '../../model/errors.ts'
import { toContract, type Contract } from './operations.ts'

const packageName = '@neondatabase/api-client'
const documentName = 'public-v2-for-users.gen.yaml'
const programMark = '--print-contract'
const readingTimeoutMs = 60_000

export type Upstream = { version: string; documentPath: string }

export async function findUpstream(): Promise<Upstream> {
  const manifestPath = createRequire(import.meta.url).resolve(`${packageName}/package.json`)
  const manifest = JSON.parse(await readFile(manifestPath, 'utf8')) as { version: string }
  return { version: manifest.version, documentPath: join(dirname(manifestPath), documentName) }
}

export async function readUpstream(upstream: Upstream): Promise<Contract> {
  try {
    const program = fileURLToPath(import.meta.url)
    const args = [program, programMark, upstream.documentPath, upstream.version]
    const { stdout } = await run(process.execPath, args, { timeoutMs: readingTimeoutMs })
    return JSON.parse(stdout) as Contract
  } catch (cause) {
    throw new AppError('internal', `the API contract in ${packageName} ${upstream.version} cannot be read`, { cause })
  }
}

async function printContract(documentPath: string, version: string): Promise<void> {
  const { parse } = await import('yaml')
  const document: unknown = parse(await readFile(documentPath, 'utf8'))
  process.stdout.write(JSON.stringify(toContract(document, version)))
}

const [, , mark, documentPath, version] = process.argv
if (mark === programMark && documentPath !== undefined && version !== undefined)
  await printContract(documentPath, version)

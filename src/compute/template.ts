// The data directory that all of a major's databases begin as: initdb once, our roles and the database `neondb` prepared.
//
// It holds no secret: the service role's verifier is made from the password it is given, and every clone gets one of its own before
// it can be claimed. It is small, because a clone costs per file: free space and visibility maps (a quarter of all files) are left out, which
// Postgres makes again as it needs them, and of the write-ahead log only the segment with the last checkpoint stays.

import { chmod, chown, cp, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, isAppError } from '../model/errors.ts'
import type { Owner, PgMajor } from '../model/compute.ts'
import { run } from '../lib/run.ts'
import { makeVerifier, randomSecretIterations } from '../pgwire/scram-verifier.ts'
import { readControlFile, syncDataDir, walSegmentName } from './data-dir.ts'
import { serviceRole, templateDatabase, tenantGroupRole } from './postgres-service.ts'
import { killProcessesBelow } from './process.ts'
import type { RuntimeTree } from './runtime-tree.ts'
import { sqlLiteral } from './sql-text.ts'

export type TemplateOptions = {
  owner: Owner | undefined
  servicePassword: string
}

export type FilledTemplate = { files: number }

/**
 * Fills `dir`, which must be there and empty. What it needs beside it lies in `<dir>.initdb` and is gone afterwards; a call that
 * died halfway leaves that and a partly filled `dir` behind, and the next one begins anew.
 */
export async function fillTemplate(tree: RuntimeTree, dir: string, options: TemplateOptions): Promise<FilledTemplate> {
  const scratch = `${dir}.initdb`
  // An initdb outlives the pgrove that was killed over it, and would go on filling what is emptied here.
  await killProcessesBelow(scratch)
  await rm(scratch, { recursive: true, force: true })
  for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true, force: true })
  // What moves in belongs to a system account until it is handed over.
  await chmod(dir, 0o700)
  try {
    // initdb insists on a user that has a name, and the uids of computes have none: it runs as a system account in a folder
    // that this account can only reach through the owner's group.
    const maker = options.owner && { uid: await systemAccount(), gid: options.owner.gid }
    await mkdir(scratch, { mode: 0o700 })
    const data = join(scratch, 'data')
    await mkdir(data, { mode: 0o700 })
    if (maker) {
      await chown(scratch, 0, maker.gid)
      await chmod(scratch, 0o710)
      await chown(data, maker.uid, maker.gid)
    }
    await initdb(tree, data, maker)
    await prepare(
      tree,
      data,
      maker,
      await makeVerifier(options.servicePassword, { iterations: randomSecretIterations }),
    )
    await slim(data)
    await move(data, dir)
    const files = await handOver(dir, options.owner)
    await syncDataDir(dir)
    return { files }
  } catch (cause) {
    throw new AppError('internal', `the template of Postgres ${tree.version} could not be made`, { cause })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** A template may be a volume of its own, into which nothing can be renamed. */
async function move(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    try {
      await rename(join(from, name), join(to, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
      await cp(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true })
    }
  }
}

async function initdb(tree: RuntimeTree, data: string, maker: Owner | undefined): Promise<void> {
  const args = (locale: string): string[] => [
    `--pgdata=${data}`,
    `--username=${serviceRole}`,
    // The file it writes is removed again: computes bring their own.
    '--auth=reject',
    '--encoding=UTF8',
    `--locale=${locale}`,
    ...(tree.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
    '--wal-segsize=1',
    '--no-sync',
    '--no-instructions',
  ]
  const make = async (locale: string): Promise<void> => {
    await run(join(tree.binDir, 'initdb'), args(locale), { cwd: data, owner: maker, timeoutMs: 120_000 })
  }
  await make('C.UTF-8').catch(async (error: unknown) => {
    // Not every C library has it.
    if (!isAppError(error, 'command_failed') || !String(error.cause).includes('locale')) throw error
    for (const name of await readdir(data)) await rm(join(data, name), { recursive: true, force: true })
    await make('C')
  })
}

/** In single-user mode: no socket, no password, and it ends with a checkpoint. */
async function prepare(tree: RuntimeTree, data: string, maker: Owner | undefined, verifier: string): Promise<void> {
  const single = async (database: string, statements: readonly string[]): Promise<void> => {
    await run(
      join(tree.binDir, 'postgres'),
      // -j: a statement ends with a semicolon and an empty line.
      [
        '--single',
        '-j',
        '-D',
        data,
        '-c',
        'exit_on_error=on',
        '-c',
        'fsync=off',
        '-c',
        'log_checkpoints=off',
        '-c',
        'log_min_error_statement=panic',
        database,
      ],
      { cwd: data, owner: maker, input: statements.map((each) => `${each};\n\n`).join(''), timeoutMs: 120_000 },
    )
  }
  await single('template1', [...roleStatements(tree.major, verifier), `CREATE DATABASE ${templateDatabase}`])
  await single('postgres', privilegesIn('postgres', tree.major))
}

function roleStatements(major: PgMajor, verifier: string): string[] {
  const memberships = ['pg_read_all_data', 'pg_write_all_data', ...(major >= 16 ? ['pg_create_subscription'] : [])]
  return [
    `ALTER ROLE ${serviceRole} PASSWORD ${sqlLiteral(verifier)}`,
    `CREATE ROLE ${tenantGroupRole} NOLOGIN`,
    `GRANT ${memberships.join(', ')} TO ${tenantGroupRole}`,
    `GRANT pg_monitor, pg_signal_backend TO ${tenantGroupRole} WITH ADMIN OPTION`,
    // In template1 first, so that every database made from it has them.
    `GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_reset() TO ${tenantGroupRole}`,
    ...(major >= 16 ? [`GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO ${tenantGroupRole}`] : []),
    `GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_replication_origin_status() TO ${tenantGroupRole}`,
    // Of a session's own memory only: the proxy asks it of every session that it parks, whatever its role.
    'GRANT EXECUTE ON FUNCTION pg_catalog.pg_get_backend_memory_contexts() TO PUBLIC',
  ]
}

/** The service role works in this database, so nobody else may put anything into it. */
function privilegesIn(database: string, major: PgMajor): string[] {
  return [
    `REVOKE CREATE, TEMPORARY ON DATABASE ${database} FROM PUBLIC`,
    ...(major < 15 ? ['REVOKE CREATE ON SCHEMA public FROM PUBLIC'] : []),
  ]
}

async function slim(data: string): Promise<void> {
  const folders = [join(data, 'global'), ...(await readdir(join(data, 'base'))).map((name) => join(data, 'base', name))]
  for (const folder of folders) {
    for (const name of await readdir(folder)) {
      if (/^\d+_(fsm|vm)$/.test(name) || name === 'pg_internal.init') await unlink(join(folder, name))
    }
  }
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf', 'postmaster.opts'])
    await rm(join(data, name), { force: true })
  await writeFile(join(data, 'postgresql.auto.conf'), '')
  const control = await readControlFile(data)
  if (control.state !== 'shut_down') throw new AppError('internal', `the cluster is ${control.state}, not shut down`)
  const kept = walSegmentName(control.tli, control.checkpointLsn)
  for (const name of await readdir(join(data, 'pg_wal'))) {
    if (/^[0-9A-F]{24}$/.test(name) && name !== kept) await unlink(join(data, 'pg_wal', name))
  }
}

/** Returns how many files there are. */
async function handOver(dir: string, owner: Owner | undefined): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  if (owner) {
    for (const entry of entries) await chown(join(entry.parentPath, entry.name), owner.uid, owner.gid)
    await chown(dir, owner.uid, owner.gid)
  }
  return entries.filter((entry) => entry.isFile()).length
}

/** A uid that is not root and has a name. */
async function systemAccount(): Promise<number> {
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').flatMap((line) => {
    const [name = '', , uid = ''] = line.split(':')
    return /^\d+$/.test(uid) && Number(uid) > 0 ? [{ name, uid: Number(uid) }] : []
  })
  const account = accounts.find(({ name }) => name === 'nobody') ?? accounts[0]
  if (!account)
    throw new AppError('config_invalid', '/etc/passwd names no account but root, and initdb does not run as root')
  return account.uid
}

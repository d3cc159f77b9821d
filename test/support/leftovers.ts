// Whether anything was left behind: rows, directories, files, processes. Asked of a running pgrove after a crash or a failure.

import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { groupFolders } from '../../src/compute/cgroups/open.ts'
import { readyNetworks } from '../../src/compute/namespaces/ready-networks.ts'
import { processesBelow } from '../../src/compute/process.ts'
import { homeAt } from '../../src/home.ts'
import { eventually } from './eventually.ts'
import { storageRoot, withControlDatabase } from './faults.ts'
import type { TestServer } from './server.ts'

/** Polls until nothing is left behind, or throws with all that is. */
export async function assertNothingLeft(server: TestServer, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await leftovers(server.home)
    found.push(...(await strayProcesses(server)))
    found.push(...(await heldNetworks(server)))
    if (found.length === 0) return
    if (Date.now() > deadline) throw new Error(`left behind:\n  ${found.join('\n  ')}`)
    await delay(100)
  }
}

const timelineName = /^[a-z0-9]{12}$/

async function names(folder: string): Promise<string[]> {
  const found: string[] = await readdir(folder).catch(() => [])
  return found.toSorted()
}

type Leftovers = {
  chains: { kind: string; state: string }[]
  operations: { action: string; status: string }[]
  timelines: { id: string; state: string; branches: number }[]
  images: { id: string; state: string; template: string | null; users: number }[]
  snapshots: { id: string; state: string; wal_id: string }[]
  branches: { id: string; state: string; timeline_id: string | null; deleted: boolean }[]
  endpoints: { id: string; live: boolean }[]
}

async function rowsOf(home: string): Promise<Leftovers> {
  return await withControlDatabase(home, async (client) => {
    const read = async (sql: string): Promise<never[]> => (await client.query(sql)).rows as never[]
    return {
      chains: await read(`select kind, state from chains where state in ('running', 'undoing')`),
      operations: await read(
        `select action, status from operations where status not in ('finished', 'error', 'cancelled', 'skipped')`,
      ),
      timelines: await read(
        `select t.id, t.state, (select count(*)::integer from branches b where b.timeline_id = t.id or b.incoming_timeline_id = t.id) as branches from timelines t`,
      ),
      images: await read(
        `select i.id, i.state, i.template, (select count(*)::integer from timeline_images u where u.image_id = i.id)
                + (select count(*)::integer from snapshots s where s.image_id = i.id) as users from images i`,
      ),
      snapshots: await read('select id, state, wal_id from snapshots'),
      branches: await read('select id, state, timeline_id, deleted_at is not null as deleted from branches'),
      endpoints: await read(
        `select e.id, e.deleted_at is null and b.deleted_at is null and p.deleted_at is null and not e.disabled as live
           from endpoints e join branches b on b.id = e.branch_id join projects p on p.id = e.project_id`,
      ),
    }
  })
}

async function leftovers(home: string): Promise<string[]> {
  const root = await storageRoot(home)
  const rows = await rowsOf(home)
  const places = homeAt(home)
  const found: string[] = []
  const note = (condition: boolean, text: string): void => void (condition && found.push(text))

  for (const { kind, state } of rows.chains) found.push(`chain ${kind} is ${state}`)
  for (const { action, status } of rows.operations) found.push(`operation ${action} is ${status}`)
  for (const { id, state, branches } of rows.timelines) {
    note(state === 'making' || state === 'deleting', `timeline ${id} is ${state}`)
    note(state === 'owned' && branches !== 1, `timeline ${id} is owned by ${branches} branches`)
    note(state === 'pooled' && branches !== 0, `timeline ${id} waits in the pool and belongs to a branch`)
  }
  for (const { id, state, timeline_id: timeline, deleted } of rows.branches) {
    if (deleted) continue
    note(state !== 'ready', `branch ${id} is ${state}`)
    note(timeline === null, `branch ${id} has no timeline`)
  }

  for (const { id, state, template, users } of rows.images) {
    note(state !== 'ready', `image ${id} is ${state}`)
    note(template === null && users === 0, `image ${id} is of no use to anybody`)
  }
  for (const { id, state } of rows.snapshots) note(state !== 'ready', `snapshot ${id} is ${state}`)
  const images = new Set(rows.images.map(({ id }) => id))
  for (const id of await names(join(root, 'images'))) note(!images.has(id), `image ${id} has no row`)

  const known = new Set(rows.timelines.map(({ id }) => id))
  const walUsers = new Set([...known, ...rows.snapshots.map((snapshot) => snapshot.wal_id)])
  for (const id of await names(join(root, 'wal'))) note(!walUsers.has(id), `log folder ${id} has no row`)
  const placed = await names(join(root, 'timelines'))
  for (const id of placed) note(!known.has(id), `directory ${id} has no row`)
  for (const id of known) note(!placed.includes(id), `timeline ${id} has no directory`)
  for (const folder of ['drafts', 'trash']) {
    for (const name of await names(join(root, folder))) found.push(`${folder}/${name}`)
  }
  for (const [what, folder] of [
    ['compute files', places.computes],
    ['socket folder', places.run],
  ] as const) {
    for (const id of await names(folder)) {
      note(timelineName.test(id) && id !== 'controldb000' && !known.has(id), `${what} ${id} has no row`)
    }
  }
  const live = new Set(rows.endpoints.filter((endpoint) => endpoint.live).map(({ id }) => id))
  for (const name of await names(places.assignments)) {
    const text = await readFile(join(places.assignments, name), 'utf8').catch(() => '')
    const refuses = text.includes('"disabled":true')
    note(!live.has(name.replace(/\.json$/, '')) && !refuses, `assignment ${name} is of no endpoint that may wake`)
  }
  for (const name of await names(places.journal)) found.push(`journal ${name} is not in the control database`)
  for (const name of await names(home)) note(name.endsWith('.draft') || name.endsWith('.initdb'), name)
  for (const name of await names(places.controlDatabase)) note(/\.(draft|initdb)$/.test(name), `control/${name}`)

  const cell = (await readFile(places.cell, 'utf8')).trim()
  for (const folder of await groupFolders(cell)) {
    for (const id of await names(folder)) {
      if (!timelineName.test(id)) continue
      const inside = await readFile(join(folder, id, 'cgroup.procs'), 'utf8').catch(() => undefined)
      note(inside === '', `control group ${join(folder, id)} has no process`)
      note(!known.has(id), `control group ${join(folder, id)} is of no timeline`)
    }
  }

  for (const [folder, pids] of await postgresByFolder(home)) {
    const id = basename(folder)
    if (folder === join(home, 'control', 'data')) continue
    note(folder !== join(root, 'timelines', id) || !known.has(id), `postgres ${pids.join(', ')} runs in ${folder}`)
  }
  return found
}

async function postgresByFolder(home: string): Promise<Map<string, number[]>> {
  const folders = new Map<string, number[]>()
  for (const pid of await processesBelow(home)) {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
    if (folder !== undefined) folders.set(folder, [...(folders.get(folder) ?? []), pid])
  }
  return folders
}

/** Processes of pgrove itself for this home: the watching one and its two children, and none beside. */
async function strayProcesses(server: TestServer): Promise<string[]> {
  const all = await pgroveProcesses(server.home)
  const strays = all.filter(({ pid, parent }) => pid !== server.pid && parent !== server.pid)
  return strays.map(({ pid, role }) => `process ${pid} (${role})`)
}

/** Control holds those that are ready; one more is of a start that did not let go of it. */
async function heldNetworks(server: TestServer): Promise<string[]> {
  const control = (await pgroveProcesses(server.home)).find(({ role }) => role === 'control')
  const folder = `/proc/${control?.pid}/fd`
  const links = await Promise.all((await names(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')))
  const held = links.filter((link) => link.startsWith('net:')).length
  return held > readyNetworks ? [`control holds ${held} networks open`] : []
}

export type PgroveProcess = { pid: number; parent: number; role: string }

export async function pgroveProcesses(home: string): Promise<PgroveProcess[]> {
  const found: PgroveProcess[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, environment, stat] = await Promise.all(
      ['cmdline', 'environ', 'stat'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    )
    if (!/\/main\.[tj]s\0/.test(command ?? '')) continue
    // The edge is not told of the home; all write to its log or have it in their environment.
    const output = await readlink(`/proc/${pid}/fd/1`).catch(() => '')
    const isOurs = output === join(home, 'pgrove.log') || environment?.split('\0').includes(`PGROVE_HOME=${home}`)
    if (!isOurs) continue
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
    if (fields[0] === 'Z') continue
    found.push({ pid: Number(pid), parent: Number(fields[1]), role: command?.split('\0').filter(Boolean).at(-1) ?? '' })
  }
  return found
}

export async function pidOf(server: TestServer, role: 'control' | 'edge' | 'auth' | 'data-api'): Promise<number> {
  return await eventually(`${role} runs`, async () => {
    const found = (await pgroveProcesses(server.home)).find((each) => each.role === role && each.parent === server.pid)
    return found?.pid
  })
}

// The order in which objects can be made: what one needs comes before it, and else by phase, schema and name.

import { phases, type SchemaEntry } from './entry.ts'

/** Address to the addresses it needs. */
export type Needs = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Always the first of those whose needs are met. Where objects need each other in a circle (two views that were replaced so as to
 * read one another), the first by name goes ahead.
 */
export function inOrder(entries: readonly SchemaEntry[], needs: Needs): SchemaEntry[] {
  const sorted = entries.toSorted(compare)
  const rankOf = new Map(sorted.map((entry, rank) => [entry.address, rank]))
  const waiting = sorted.map(() => 0)
  const dependents: number[][] = sorted.map(() => [])
  for (const [rank, entry] of sorted.entries()) {
    const wanted = new Set([...(needs.get(entry.address) ?? []), ...(entry.after ?? [])])
    for (const address of wanted) {
      const needed = rankOf.get(address)
      if (needed === undefined || needed === rank) continue
      dependents[needed]?.push(rank)
      waiting[rank] = (waiting[rank] ?? 0) + 1
    }
  }
  const ready = new RankQueue()
  const done = sorted.map(() => false)
  for (const [rank, count] of waiting.entries()) if (count === 0) ready.push(rank)
  const ordered: SchemaEntry[] = []
  let firstLeft = 0
  while (ordered.length < sorted.length) {
    let rank = ready.pop()
    if (rank === undefined) {
      while (done[firstLeft]) firstLeft++
      rank = firstLeft
    }
    const entry = sorted[rank]
    if (!entry || done[rank]) continue
    done[rank] = true
    ordered.push(entry)
    for (const dependent of dependents[rank] ?? []) {
      waiting[dependent] = (waiting[dependent] ?? 0) - 1
      if (waiting[dependent] === 0) ready.push(dependent)
    }
  }
  return ordered
}

/** Can `to` be reached from `from`? */
export function needsTransitively(needs: Needs, from: string, to: string): boolean {
  const seen = new Set<string>()
  const open = [from]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === to) return true
    if (seen.has(at)) continue
    seen.add(at)
    open.push(...(needs.get(at) ?? []))
  }
  return false
}

function compare(a: SchemaEntry, b: SchemaEntry): number {
  return (
    phases.indexOf(a.phase) - phases.indexOf(b.phase) ||
    byText(a.schema, b.schema) ||
    byText(a.name, b.name) ||
    byText(a.kind, b.kind) ||
    byText(a.target, b.target)
  )
}

/** By code units: the same on every machine, whatever its language. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The smallest rank first: a binary heap. */
class RankQueue {
  readonly #heap: number[] = []

  push(rank: number): void {
    const heap = this.#heap
    let at = heap.push(rank) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((heap[parent] ?? 0) <= rank) break
      heap[at] = heap[parent] ?? 0
      at = parent
    }
    heap[at] = rank
  }

  pop(): number | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1]
      if (right !== undefined && right < (heap[child] ?? 0)) child++
      const rank = heap[child] ?? 0
      if (rank >= last) break
      heap[at] = rank
      at = child
    }
    heap[at] = last
    return first
  }
}

// Settings that Postgres reports whenever they change. Those belong to a client of the pooler and follow it from server to server,
// as in PgBouncer's transaction mode; all other settings stay with the server they were made on.

/** In lower case; as Postgres spells them in its reports. PgBouncer's list, and `search_path`, which Postgres reports from 18 on. */
const spelling = new Map(
  ['client_encoding', 'DateStyle', 'IntervalStyle', 'TimeZone', 'standard_conforming_strings', 'application_name'].map(
    (name) => [name.toLowerCase(), name],
  ),
)

/** As Postgres reports it; undefined where it does not follow a client. */
export function trackedName(name: string): string | undefined {
  return spelling.get(name.toLowerCase())
}

/** Values by name. Equal ones are one object, so that comparing two is comparing references. */
export type TrackedParameters = ReadonlyMap<string, string>

export class TrackedParameterSets {
  readonly #known = new Map<string, WeakRef<TrackedParameters>>()

  of(values: Iterable<readonly [string, string]>): TrackedParameters {
    const tracked = new Map<string, string>()
    for (const [name, value] of values) {
      const known = trackedName(name)
      if (known !== undefined) tracked.set(known, value)
    }
    const text = JSON.stringify([...tracked].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    const found = this.#known.get(text)?.deref()
    if (found) return found
    if (this.#known.size >= mostSets) this.#forgetUnused()
    this.#known.set(text, new WeakRef(tracked))
    return tracked
  }

  with(before: TrackedParameters, name: string, value: string): TrackedParameters {
    if (before.get(name) === value) return before
    return this.of([...before, [name, value]])
  }

  #forgetUnused(): void {
    for (const [text, ref] of this.#known) if (!ref.deref()) this.#known.delete(text)
  }
}

const mostSets = 1_000

/** A statement that gives a server what a client has; undefined where it has it. */
export function settingsBetween(server: TrackedParameters, client: TrackedParameters): string | undefined {
  if (server === client) return undefined
  const statements: string[] = []
  for (const [name, value] of client) {
    if (server.get(name) !== value) statements.push(`SET ${name} = ${literal(value)}`)
  }
  return statements.length === 0 ? undefined : statements.join('; ')
}

/** An escape string reads the same whatever `standard_conforming_strings` is. */
function literal(value: string): string {
  return `E'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

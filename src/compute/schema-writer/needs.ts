// What needs what, from pg_depend: from object to object, as far as they are written.
//
// Much of the catalog is part of something that is written as a whole (a table's row type, an extension's functions): `partsQuery` says
// of what.

import type pg from 'pg'
import { inOrder, needsTransitively, type Needs } from './order.ts'
import type { SchemaEntry } from './entry.ts'

const partsQuery = `
  SELECT 'pg_type:' || t.oid AS part, 'pg_class:' || t.typrelid AS whole FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
    WHERE c.relkind <> 'c' AND t.oid >= 16384
  UNION ALL SELECT 'pg_class:' || t.typrelid, 'pg_type:' || t.oid FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
    WHERE c.relkind = 'c' AND t.oid >= 16384
  UNION ALL SELECT 'pg_type:' || t.typarray, 'pg_type:' || t.oid FROM pg_type t WHERE t.typarray <> 0 AND t.oid >= 16384
  UNION ALL SELECT 'pg_type:' || r.rngmultitypid, 'pg_type:' || r.rngtypid FROM pg_range r WHERE r.rngtypid >= 16384
  UNION ALL SELECT 'pg_rewrite:' || r.oid, 'pg_class:' || r.ev_class FROM pg_rewrite r WHERE r.rulename = '_RETURN' AND r.oid >= 16384
  UNION ALL SELECT 'pg_class:' || k.conindid, 'pg_constraint:' || k.oid FROM pg_constraint k
    WHERE k.contype IN ('p', 'u', 'x') AND k.oid >= 16384
  UNION ALL SELECT 'pg_constraint:' || k.oid, 'pg_type:' || k.contypid FROM pg_constraint k WHERE k.contypid <> 0 AND k.oid >= 16384
  UNION ALL SELECT 'pg_constraint:' || k.oid, 'pg_class:' || k.conrelid FROM pg_constraint k WHERE k.contype = 'n' AND k.oid >= 16384
  -- Constructors of ranges.
  UNION ALL SELECT 'pg_proc:' || d.objid, 'pg_type:' || d.refobjid FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i' AND d.objid >= 16384
  UNION ALL SELECT d.classid::regclass || ':' || d.objid, 'pg_extension:' || d.refobjid FROM pg_depend d
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.objid >= 16384`

const needsQuery = `
  SELECT DISTINCT d.classid::regclass || ':' || d.objid AS object, d.refclassid::regclass || ':' || d.refobjid AS needed
  FROM pg_depend d
  WHERE d.refobjid >= 16384 AND d.deptype <> 'e' AND d.objid >= 16384
    -- Partitions and their indexes are attached afterwards.
    AND d.deptype NOT IN ('P', 'S')`

/** Default and check expressions with the table they belong to. A generated column's is a part of its table. */
const expressionsQuery = `
  SELECT 'pg_attrdef:' || d.oid AS expression, 'pg_class:' || d.adrelid AS table, a.attgenerated <> '' AS part
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.oid >= 16384
  UNION ALL SELECT 'pg_constraint:' || k.oid, 'pg_class:' || k.conrelid, false FROM pg_constraint k
    WHERE k.contype = 'c' AND k.conrelid <> 0 AND k.oid >= 16384
  ORDER BY 1`

export class ObjectNeeds {
  readonly #needs: Needs
  readonly #apart: ReadonlySet<string>

  private constructor(needs: Needs, apart: ReadonlySet<string>) {
    this.#needs = needs
    this.#apart = apart
  }

  static async read(client: pg.Client): Promise<ObjectNeeds> {
    const parts = await client.query<{ part: string; whole: string }>(partsQuery)
    const wholes = new Map(parts.rows.map(({ part, whole }) => [part, whole]))
    const expressions = (await client.query<{ expression: string; table: string; part: boolean }>(expressionsQuery))
      .rows
    for (const { expression, table, part } of expressions) if (part) wholes.set(expression, table)
    const wholeOf = (address: string): string => {
      let at = address
      for (let steps = 0; steps < 8; steps++) {
        const next = wholes.get(at)
        if (next === undefined) break
        at = next
      }
      return at
    }
    const needs = new Map<string, Set<string>>()
    const add = (object: string, needed: string): void => {
      if (object === needed) return
      const known = needs.get(object)
      if (known) known.add(needed)
      else needs.set(object, new Set([needed]))
    }
    const { rows } = await client.query<{ object: string; needed: string }>(needsQuery)
    for (const { object, needed } of rows) add(wholeOf(object), wholeOf(needed))
    const apart = new Set<string>()
    for (const { expression, table, part } of expressions) {
      if (part) continue
      const others = [...(needs.get(expression) ?? [])].filter((needed) => needed !== table)
      if (others.some((needed) => needsTransitively(needs, needed, table))) apart.add(expression)
      else for (const needed of others) add(table, needed)
    }
    return new ObjectNeeds(needs, apart)
  }

  /** A default or a check that needs something that needs its table. */
  readonly isApart = (address: string): boolean => this.#apart.has(address)

  inOrder(entries: readonly SchemaEntry[]): SchemaEntry[] {
    return inOrder(entries, this.#needs)
  }
}

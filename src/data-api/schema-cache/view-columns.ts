// Which column of which relation a view's column is, as Postgres has noted it in the rule by which the view is read.
//
// The rule is a tree of nodes as text. The entries of its outermost target list say where they come from (`resorigtbl`, `resorigcol`), through
// joins, subqueries and CTEs; entries of queries within lie deeper and are skipped. postgres: src/include/nodes/primnodes.h, TargetEntry.

export type ViewColumn = { number: number; fromRelation: number; fromColumn: number }

const ending = /:resno (\d+) (?:.*) :resorigtbl (\d+) :resorigcol (-?\d+) :resjunk false$/s

export function viewColumns(rule: string): ViewColumn[] {
  const found: ViewColumn[] = []
  let depth = 0
  let start = -1
  for (let at = 0; at < rule.length; at++) {
    switch (rule.charCodeAt(at)) {
      // `\`: what follows is part of a name or a value.
      case 92:
        at += 1
        break
      case 123:
        depth += 1
        if (depth === 2 && rule.startsWith('{TARGETENTRY ', at)) start = at
        break
      case 125:
        if (depth === 2 && start >= 0) {
          const column = columnOf(rule.slice(start, at))
          if (column) found.push(column)
          start = -1
        }
        depth -= 1
        break
    }
  }
  return found
}

function columnOf(entry: string): ViewColumn | undefined {
  const [, number, relation, column] = ending.exec(entry.slice(entry.lastIndexOf(':resno '))) ?? []
  const [fromRelation, fromColumn] = [Number(relation), Number(column)]
  return fromRelation > 0 && fromColumn > 0 ? { number: Number(number), fromRelation, fromColumn } : undefined
}

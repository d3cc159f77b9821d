// Functions as calls need them.

import type { DatabaseFunction, Parameter, QualifiedName, ReturnType } from './schema-cache.ts'

/** Arguments of a function in all their modes, as the catalogs keep them. */
export type ArgumentsRow = {
  names: (string | null)[] | null
  modes: ('i' | 'o' | 'b' | 'v' | 't')[] | null
  types: string[] | null
  defaults: number
}

export type FunctionRow = QualifiedName &
  ArgumentsRow & {
    typeIds: number[]
    isSet: boolean
    rows: number
    volatility: 'v' | 's' | 'i'
    returnType: QualifiedName & { id: number; kind: string; relation: number; isDomain: boolean; baseKind: string }
    settings: string[] | null
  }

const volatilities = { v: 'volatile', s: 'stable', i: 'immutable' } as const
/** They cut a literal to one character where no length is said. */
const cutting: Readonly<Record<string, string>> = { character: 'bpchar', bit: 'bit varying', '"char"': 'text' }

/** `name=value`, as the catalogs keep settings. */
export function toSetting(text: string): [name: string, value: string] {
  const at = text.indexOf('=')
  return [text.slice(0, at), text.slice(at + 1)]
}

export function toFunction(
  row: FunctionRow,
  relations: ReadonlyMap<number, QualifiedName>,
  hoisted: readonly string[],
): DatabaseFunction {
  const settings = (row.settings ?? []).map(toSetting)
  return {
    schema: row.schema,
    name: row.name,
    parameters: parametersOf(row),
    returns: returnsOf(row, modesOf(row), relations),
    volatility: volatilities[row.volatility],
    isolation: settings.find(([name]) => name === 'default_transaction_isolation')?.[1],
    settings: settings.filter(([name]) => hoisted.includes(name) && name !== 'default_transaction_isolation'),
  }
}

export function parametersOf(row: ArgumentsRow): Parameter[] {
  const inputs = modesOf(row).flatMap((mode, i) => (mode === 'i' || mode === 'b' || mode === 'v' ? [{ i, mode }] : []))
  return inputs.map(({ i, mode }, at) => {
    const type = row.types?.[i] ?? 'text'
    return {
      name: row.names?.[i] ?? '',
      type,
      typeMaxLength: cutting[type] ?? type,
      isRequired: at < inputs.length - row.defaults,
      isVariadic: mode === 'v',
    }
  })
}

const modesOf = ({ modes, types }: ArgumentsRow): NonNullable<ArgumentsRow['modes']> =>
  modes ?? (types ?? []).map(() => 'i' as const)

function returnsOf(
  row: FunctionRow,
  modes: readonly string[],
  relations: ReadonlyMap<number, QualifiedName>,
): DatabaseFunction['returns'] {
  const { schema, name, baseKind, relation } = row.returnType
  if (name === 'void' && schema === 'pg_catalog') return { kind: 'void' }
  const outs = modes.filter((mode) => mode === 'o' || mode === 'b' || mode === 't').length
  // What has a name in the result is told with it.
  const isRow = baseKind === 'c' || name === 'record' || outs > 0
  const known = relations.get(relation)
  const of: ReturnType = isRow
    ? { kind: 'composite', type: known ? { schema: known.schema, name: known.name } : { schema, name } }
    : { kind: 'scalar', type: { schema, name } }
  return { kind: row.isSet ? 'set' : 'single', of }
}

// `Prefer`: what a client would like. https://docs.postgrest.org/en/v14/references/api/preferences.html

export type Preferences = {
  resolution: 'merge-duplicates' | 'ignore-duplicates' | undefined
  return: 'representation' | 'minimal' | 'headers-only' | undefined
  count: 'exact' | 'planned' | 'estimated' | undefined
  tx: 'commit' | 'rollback' | undefined
  missing: 'default' | 'null' | undefined
  handling: 'strict' | 'lenient' | undefined
  /** As asked for; whether there is such a zone, the schema cache knows. */
  timezone: string | undefined
  maxAffected: number | undefined
  /** What is none of these, in its order: refused where handling is strict. */
  invalid: readonly string[]
}

// The folders of `src/` are the architecture: what may import what, what files may be called, and who may read the environment.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from './support/server.ts'

const tiers: Readonly<Record<string, number>> = {
  model: 0,
  lib: 0,
  pgwire: 0,
  store: 1,
  storage: 1,
  compute: 1,
  control: 2,
  api: 3,
  auth: 3,
  'data-api': 3,
  proxy: 3,
  'config.ts': 4,
  'home.ts': 4,
  processes: 5,
  cli: 6,
  'main.ts': 7,
}

const files = globSync('src/**/*.ts', { cwd: packageRoot }).toSorted()
const sources = new Map(files.map((file) => [file, readFileSync(join(packageRoot, file), 'utf8')]))

/** `src/control/branches.ts` → `control`; a file that lies in `src/` itself is a place of its own. */
const placeOf = (file: string): string => file.split('/')[1] ?? ''

function importsOf(source: string): string[] {
  const statements = source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)
  return [...statements].map(([, target]) => target ?? '')
}

/** Tests, and the fakes and fixtures that lie beside them. */
function isForTests(file: string): boolean {
  return /\.test\.ts$|\/test-support\/|\/(?:test|fake)-[^/]*\.ts$/.test(file) || !file.startsWith('src/')
}

/** Every tier fails in the same words, those of tier 0 too. */
const sharedByAll = 'src/model/errors.ts'

test('every folder and file of src/ has a tier', () => {
  const places = new Set(files.map(placeOf))
  assert.deepEqual(
    [...places].filter((place) => tiers[place] === undefined),
    [],
  )
})

test('imports go to a lower tier, never to a sibling', () => {
  const wrong: string[] = []
  for (const [file, source] of sources) {
    for (const target of importsOf(source)) {
      const path = join(dirname(file), target)
      if (!target.startsWith('.') || !path.startsWith('src/') || path === sharedByAll) continue
      const [from, to] = [placeOf(file), placeOf(path)]
      if (from !== to && (tiers[to] ?? 9) >= (tiers[from] ?? 0))
        wrong.push(`${from} → ${to}: ${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('what is published imports no test and nothing that tests are made of', () => {
  const wrong: string[] = []
  for (const [file, source] of sources) {
    if (isForTests(file)) continue
    for (const target of importsOf(source)) {
      if (target.startsWith('.') && isForTests(join(dirname(file), target))) wrong.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('model/ needs nothing of Node, so that a browser may import it', () => {
  const wrong: string[] = []
  for (const [file, source] of sources) {
    if (placeOf(file) !== 'model' || isForTests(file)) continue
    for (const target of importsOf(source)) if (!target.startsWith('.')) wrong.push(`${file} imports ${target}`)
    if (/\b(?:process\.|Buffer\b)/.test(withoutComments(source))) wrong.push(`${file} uses a global of Node`)
  }
  assert.deepEqual(wrong, [])
})

test('nothing in tier 3 reads the store or touches files and processes of tier 1', () => {
  const wrong: string[] = []
  for (const [file, source] of sources) {
    if (tiers[placeOf(file)] !== 3 || isForTests(file)) continue
    for (const target of importsOf(source)) {
      const to = placeOf(join(dirname(file), target))
      if (target.startsWith('.') && tiers[to] === 1) wrong.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

const namesThatAcceptAnything = /^(?:index|utils?|helpers?|common|misc|shared|services?|managers?)$/

test('no file or folder has a name that accepts anything', () => {
  const wrong = globSync('{src,test,bench}/**', { cwd: packageRoot })
    .filter((path) => namesThatAcceptAnything.test(basename(path).replace(/(?:\.test)?\.\w+$/, '')))
    .toSorted()
  assert.deepEqual(wrong, [])
})

/** Beside config.ts, which is handed `process.env` and nothing else of it: what each may read, and why. */
const environmentReaders: Readonly<Record<string, string>> = {
  'src/lib/run.ts': 'the allow-list of what child processes inherit',
  'src/processes/postgres-trees.ts': 'PATH, where installations are looked for',
  'src/cli/data-api.ts': 'the variables that PostgREST has, which are nothing to the rest of pgrove',
  'src/cli/start.ts':
    'where Node keeps compiled code, which the edge may know of an environment it gets nothing else of',
}

test('only config.ts reads the environment', () => {
  const wrong: string[] = []
  for (const [file, source] of sources) {
    if (isForTests(file) || file in environmentReaders) continue
    const rest = withoutComments(source).replaceAll('readConfig(process.env)', '')
    if (/process\s*\.\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/.test(rest)) wrong.push(file)
  }
  assert.deepEqual(wrong, [])
})

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
}

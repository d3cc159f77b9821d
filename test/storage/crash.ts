// Run as a program: does one thing to a storage and dies by `kill -9` at a failpoint on the way.
// Arguments: home, kind, failpoint, `clone` or `destroy`, timeline id, uid of the owner (or '').

import { setFailpoints } from '../../src/lib/failpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import type { TimelineId } from '../../src/model/ids.ts'
import type { WantedStorage } from '../../src/storage/choose.ts'
import { openStorage } from '../../src/storage/timelines.ts'
import { smallPool } from './small-pool.ts'

const [home = '', kind = '', failpoint = '', verb = '', id = '', uid = ''] = process.argv.slice(2)
const storage = await openStorage({ ...smallPool, home, wanted: kind as WantedStorage, logger: silentLogger })
setFailpoints(`${failpoint}=crash`, [])
const owner = uid === '' ? undefined : { uid: Number(uid), gid: Number(uid) }
if (verb === 'clone') await storage.cloneTimeline(id as TimelineId, { template: 'sample' }, { owner, sync: true })
else await storage.destroyTimeline(id as TimelineId)

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { basesIn, parseMounts, parseOwnGroups } from './mounts.ts'

/** A machine with version 1 in separate hierarchies, two of which share one, and an empty version 2 beside. */
const version1 = `23 28 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/my\\040pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const ownIn1 = `9:name=systemd:/
8:pids:/
4:memory:/jobs/42
1:cpu,cpuacct:/
0::/
`

describe('where groups may lie', () => {
  test('in version 1: below our own group of each hierarchy, or else at its top', () => {
    const mounts = parseMounts(version1)
    const own = parseOwnGroups(ownIn1)
    assert.deepEqual(
      mounts.map((mount) => [mount.version, mount.controllers.join(), basesIn(mount, own)]),
      [
        [1, 'cpu,cpuacct', ['/sys/fs/cgroup/cpu,cpuacct']],
        [1, 'memory', ['/sys/fs/cgroup/memory/jobs/42', '/sys/fs/cgroup/memory']],
        [1, 'pids', ['/sys/fs/cgroup/my pids']],
        [2, '', ['/sys/fs/cgroup/unified']],
      ],
    )
  })

  test('in version 2: below our own group, or below one of those it is in', () => {
    const [mount] = parseMounts(
      '31 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot',
    )
    assert.ok(mount)
    assert.deepEqual(basesIn(mount, parseOwnGroups('0::/system.slice/pgrove.service\n')), [
      '/sys/fs/cgroup/system.slice/pgrove.service',
      '/sys/fs/cgroup/system.slice',
      '/sys/fs/cgroup',
    ])
    assert.deepEqual(basesIn(mount, parseOwnGroups('0::/\n')), ['/sys/fs/cgroup'])
  })

  test('in a container: as seen from the group that its mount shows as the top', () => {
    const [mount] = parseMounts('1024 1023 0:30 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory')
    assert.ok(mount)
    const basesOf = (group: string): string[] => basesIn(mount, parseOwnGroups(`4:memory:${group}\n`))
    assert.deepEqual(basesOf('/docker/abc/inner'), ['/sys/fs/cgroup/memory/inner', '/sys/fs/cgroup/memory'])
    assert.deepEqual(basesOf('/docker/abc'), ['/sys/fs/cgroup/memory'])
    assert.deepEqual(basesOf('/docker/abcdef'), ['/sys/fs/cgroup/memory'])
    assert.deepEqual(basesOf('/../other'), ['/sys/fs/cgroup/memory'])
  })

  test('nowhere, where nothing is mounted', () => {
    assert.deepEqual(parseMounts(''), [])
    assert.deepEqual(parseOwnGroups(''), [])
  })
})

// Sessions as clients have them, good ones and bad ones. Each leaves the database as it was, so that it can be played again.

import { cString, int32, writeMessage } from '../../src/pgwire/message.ts'
import {
  bind,
  callFunction,
  close,
  copyData,
  copyDone,
  copyFail,
  describe,
  execute,
  flush,
  parse,
  query,
  run,
  sync,
} from '../support/frontend.ts'
import type { Recording } from '../support/recording.ts'

export type Scenario = {
  what: string
  /** Lives from what a session keeps between transactions, which a pool does not promise. */
  needsSession?: true
  play: (session: Recording) => Promise<void>
}

/** Of messages that are sent one after another, each answered by one ReadyForQuery. */
const asking = (what: string, ...steps: readonly Buffer[]): Scenario => ({
  what,
  async play(session) {
    for (const step of steps) await session.ask(step)
  },
})

const session = (scenario: Scenario): Scenario => ({ ...scenario, needsSession: true })

const int4 = 23
const megabyte = 1_000_000
const repeat = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))

/** Binary COPY of (int4, text) rows. */
const binaryCopy = (rows: readonly [id: number, what: string][]): Buffer => {
  const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), int32(0), int32(0)])
  const tuples = rows.map(([id, what]) => {
    const text = Buffer.from(what)
    return Buffer.concat([Buffer.of(0, 2), int32(4), int32(id), int32(text.length), text])
  })
  return Buffer.concat([header, ...tuples, Buffer.of(0xff, 0xff)])
}

const simple: Scenario[] = [
  asking(
    'values of many types',
    query(`select 1, 'two', 3.5::float8, null, true, '{1,2}'::int[], '\\xdead'::bytea, '{"a":1}'::jsonb`),
  ),
  asking('nothing at all', query(''), query(';'), query(' ; ; '), query('-- nothing')),
  asking('many statements in one message', query(`select 1; select 2, 3; ; select 'four'`), query('select 5')),
  asking(
    'a statement that fails among others',
    query(`insert into copied values (1, 'x'); select 1/0; select 2`),
    query('select count(*) from copied'),
  ),
  asking(
    'rows without columns, and columns without rows',
    query('select from generate_series(1, 3)'),
    query('select 1 as a where false'),
  ),
  asking(
    'errors with all their fields',
    query('selct 1'),
    query('select * from nowhere'),
    query(`insert into kept values (1)`),
    query(`insert into kept values (null)`),
    query(`select '\u00fcber'::int`),
  ),
  asking(
    'a transaction that fails',
    query('begin'),
    query('select 1/0'),
    query('select 1'),
    query('commit'),
    query('begin; savepoint a'),
    query('nonsense'),
    query('rollback to a'),
    query('select 1'),
    query('rollback'),
  ),
  asking(
    'a constraint that is looked at with the commit',
    query('begin; insert into child values (999)'),
    query('commit'),
    query('select 1'),
  ),
  asking('warnings', query('begin; begin'), query('commit'), query('commit'), query('rollback')),
  asking(
    'notices',
    query('drop table if exists nowhere'),
    query(
      `do $$ begin raise notice 'one %', 1 using detail = 'more', hint = 'less'; raise warning 'two'; raise info 'three'; end $$`,
    ),
    query(`do $$ begin raise exception 'four' using errcode = 'P0999'; end $$`),
  ),
  asking(
    'many notices',
    query(`do $$ begin for i in 1..2000 loop raise notice '% %', i, repeat('n', i % 50); end loop; end $$`),
  ),
  asking(
    'a setting for one transaction',
    query(`begin; set local timezone = 'Asia/Tokyo'; set local application_name = 'x'`),
    query('show timezone'),
    query('commit'),
    query('select 1'),
  ),
  asking('a time limit', query(`begin; set local statement_timeout = 50; select pg_sleep(30)`), query('rollback')),
  asking('many small rows', query(`select i, 'row ' || i from generate_series(1, 50000) i`)),
  asking('many columns', query(`select ${Array.from({ length: 1500 }, (_, i) => `${i} as c${i}`).join(', ')}`)),
  asking(
    'rows of megabytes',
    query(`select repeat('x', 5000000), i, repeat('y', 3000000) from generate_series(1, 3) i`),
    query('select 1'),
  ),
  asking('a statement of megabytes', query(`select length('${'z'.repeat(4 * megabyte)}')`), query('select 1')),
  asking(
    'an error of a megabyte',
    query(`do $$ begin raise exception '%', repeat('e', 1000000); end $$`),
    query('select 1'),
  ),
  asking(
    'cursors of a transaction',
    query('begin; declare c cursor for select * from kept order by id'),
    query('fetch 3 from c'),
    query('move 2 in c'),
    query('fetch all from c'),
    query('close c'),
    query('commit'),
  ),
  asking(
    'locks and tables of a transaction',
    query(
      `begin; create temp table t (id int) on commit drop; insert into t values (1); select pg_advisory_xact_lock(7); table t`,
    ),
    query('commit'),
  ),
  asking(
    'EXPLAIN and SHOW',
    query('explain (costs off) select * from kept where id = 1'),
    query('show server_encoding'),
    query('show transaction_isolation'),
  ),
  {
    what: 'statements that do not wait for each other',
    async play(session) {
      await session.ask(
        [query('select 1'), query('begin'), query('select 1/0'), query('rollback'), query('select 2'), query('')],
        6,
      )
    },
  },
]

const extended: Scenario[] = [
  asking('a statement without a name', Buffer.concat([run('select $1::int + 1, $2', ['41', 'two']), sync()])),
  asking(
    'binary both ways',
    Buffer.concat([
      run('select $1::int4, $2::text, 1.5::float8, now() - now()', [int32(7), 'x'], { formats: [1, 0], results: [1] }),
      sync(),
    ]),
  ),
  asking(
    'nulls, empty texts and types that are given',
    Buffer.concat([
      parse('select $1, $2::text, $3::bytea', { types: [int4, 0, 0] }),
      bind([null, '', Buffer.alloc(0)], { formats: [0, 0, 1] }),
      describe('S'),
      describe('P'),
      execute(),
      sync(),
    ]),
  ),
  asking('nothing to execute', Buffer.concat([parse(''), describe('S'), bind(), describe('P'), execute(), sync()])),
  asking('only a Sync', sync(), Buffer.concat([flush(), sync()]), Buffer.concat([sync()])),
  asking(
    'a statement with a name, used again and closed',
    Buffer.concat([parse('select $1::int * 2', { name: 'twice' }), describe('S', 'twice'), sync()]),
    Buffer.concat([
      bind(['1'], { statement: 'twice' }),
      execute(),
      bind(['2'], { statement: 'twice' }),
      execute(),
      sync(),
    ]),
    Buffer.concat([bind(['3'], { statement: 'twice', results: [1] }), describe('P'), execute(), sync()]),
    query('select 1'),
    Buffer.concat([bind(['4'], { statement: 'twice' }), execute(), sync()]),
    Buffer.concat([parse('select 1', { name: 'twice' }), sync()]),
    Buffer.concat([close('S', 'twice'), close('S', 'never'), sync()]),
    Buffer.concat([bind(['5'], { statement: 'twice' }), execute(), sync()]),
    Buffer.concat([
      parse(`select 'anew'`, { name: 'twice' }),
      bind([], { statement: 'twice' }),
      execute(),
      close('S', 'twice'),
      sync(),
    ]),
  ),
  asking(
    'a statement with a name in and after a transaction that fails',
    query('begin'),
    Buffer.concat([
      parse('select 1/$1::int', { name: 'share' }),
      bind(['0'], { statement: 'share' }),
      execute(),
      sync(),
    ]),
    Buffer.concat([bind(['1'], { statement: 'share' }), execute(), sync()]),
    query('rollback'),
    Buffer.concat([bind(['1'], { statement: 'share' }), execute(), sync()]),
    Buffer.concat([close('S', 'share'), sync()]),
  ),
  asking(
    'a statement that cannot be parsed, with a name',
    Buffer.concat([parse('selct', { name: 'bad' }), bind([], { statement: 'bad' }), execute(), sync()]),
    Buffer.concat([bind([], { statement: 'bad' }), execute(), sync()]),
  ),
  asking(
    'misuse',
    Buffer.concat([bind([], { statement: 'never' }), execute(), sync()]),
    Buffer.concat([describe('S', 'never'), sync()]),
    Buffer.concat([describe('P', 'never'), sync()]),
    Buffer.concat([execute({ portal: 'never' }), sync()]),
    Buffer.concat([close('P', 'never'), sync()]),
    Buffer.concat([parse('select $1::int, $2::int'), bind(['1']), execute(), sync()]),
    Buffer.concat([parse('select $1::int'), bind(['x']), execute(), sync()]),
    Buffer.concat([parse('select 1; select 2'), sync()]),
    Buffer.concat([parse('select $1'), bind(['x'], { formats: [0, 0, 0] }), sync()]),
    Buffer.concat([describe('S'), sync()]),
  ),
  asking(
    'portals with a limit of rows, over Syncs of one transaction',
    query('begin'),
    Buffer.concat([
      parse('select * from kept order by id'),
      bind([], { portal: 'p' }),
      execute({ portal: 'p', rows: 3 }),
      sync(),
    ]),
    Buffer.concat([execute({ portal: 'p', rows: 5 }), execute({ portal: 'p', rows: 1 }), sync()]),
    Buffer.concat([describe('P', 'p'), execute({ portal: 'p' }), execute({ portal: 'p' }), sync()]),
    Buffer.concat([close('P', 'p'), execute({ portal: 'p' }), sync()]),
    query('rollback'),
  ),
  asking(
    'a portal that ends with its transaction',
    Buffer.concat([
      parse('select * from kept order by id'),
      bind([], { portal: 'p' }),
      execute({ portal: 'p', rows: 2 }),
      sync(),
    ]),
    Buffer.concat([execute({ portal: 'p', rows: 2 }), sync()]),
  ),
  asking(
    'a transaction by the extended protocol',
    Buffer.concat([run('begin'), sync()]),
    Buffer.concat([run(`insert into copied values (1, 'x')`), sync()]),
    Buffer.concat([run('rollback'), sync()]),
  ),
  {
    what: 'a Flush, and rows before the Sync',
    async play(session) {
      await session.send(parse('select * from kept order by id'), flush())
      await session.until('1')
      await session.send(bind(), execute({ rows: 2 }), flush())
      await session.until('s')
      await session.send(execute({ rows: 2 }), flush())
      await session.until('s')
      await session.send(execute(), sync())
      await session.until('Z')
    },
  },
  {
    what: 'an error before the Sync, and what follows is skipped',
    async play(session) {
      await session.send(run('select 1/0'), flush())
      await session.until('E')
      await session.send(run('select 1'), query('select 2'), describe('S', 'never'))
      await session.ask(sync())
      await session.ask(query('select 3'))
    },
  },
  asking(
    'a hundred statements and one Sync',
    Buffer.concat([repeat(100, (i) => run('select $1::int', [String(i)])), sync()]),
  ),
  asking(
    'a hundred statements, one of which fails, and one Sync',
    Buffer.concat([repeat(100, (i) => run('select 1/($1::int - 50)', [String(i)])), sync()]),
    query('select 1'),
  ),
  {
    what: 'a hundred statements with a Sync each, at once',
    async play(session) {
      await session.ask(
        repeat(100, (i) => Buffer.concat([run('select 1/($1::int % 7)', [String(i)]), sync()])),
        100,
      )
    },
  },
  {
    what: 'named statements, in bulk and at once',
    async play(session) {
      const name = (i: number): string => `statement ${i}`
      await session.ask(
        repeat(60, (i) =>
          Buffer.concat([
            parse(`select ${i} + $1::int`, { name: name(i) }),
            bind(['1'], { statement: name(i) }),
            execute(),
            sync(),
          ]),
        ),
        60,
      )
      await session.ask(
        repeat(60, (i) => Buffer.concat([bind(['2'], { statement: name(59 - i) }), describe('P'), execute(), sync()])),
        60,
      )
      await session.ask([repeat(60, (i) => close('S', name(i))), sync()])
    },
  },
  {
    what: 'both protocols mixed in one write',
    async play(session) {
      await session.ask(
        [
          query('select 1'),
          run('select 2'),
          sync(),
          query('begin; select 3'),
          run('select 4'),
          sync(),
          query('commit'),
          sync(),
        ],
        6,
      )
    },
  },
  {
    what: 'a simple statement without a Sync before it',
    async play(session) {
      await session.ask([run('select 1'), query('select 2')])
      await session.ask(sync())
    },
  },
  asking(
    'parameters and rows of megabytes',
    Buffer.concat([run('select $1::text, length($1)', ['p'.repeat(3 * megabyte)]), sync()]),
  ),
  asking(
    'a result that ends in an error',
    Buffer.concat([run('select 100 / (20000 - i) from generate_series(1, 30000) i'), sync()]),
    query('select 1'),
  ),
]

const copy: Scenario[] = [
  asking(
    'COPY out, as text, CSV and binary',
    query('copy (select * from kept order by id) to stdout'),
    query('copy kept to stdout with (format csv, header)'),
    query('copy (select 1, null::int) to stdout with (format binary)'),
  ),
  asking(
    'COPY out of megabytes',
    query(`copy (select i, repeat('c', 90) from generate_series(1, 40000) i) to stdout`),
    query('select 1'),
  ),
  asking(
    'COPY out that fails',
    query('copy (select 1 / (5000 - i) from generate_series(1, 10000) i) to stdout'),
    query('copy nowhere to stdout'),
  ),
  asking('COPY out by the extended protocol', Buffer.concat([run('copy kept to stdout'), sync()])),
  {
    what: 'COPY in',
    async play(session) {
      await session.ask(query('begin'))
      await session.send(query('copy copied from stdin'))
      await session.until('G')
      await session.ask([copyData('1\tone\n2\tt'), copyData('wo\n'), copyData(''), copyData('3\t\\N\n'), copyDone()])
      await session.ask(query('table copied'))
      await session.ask(query('rollback'))
    },
  },
  {
    what: 'COPY in of megabytes, in binary',
    async play(session) {
      const bytes = binaryCopy(Array.from({ length: 20_000 }, (_, i) => [i, 'b'.repeat(100)]))
      await session.ask(query('begin'))
      await session.send(query('copy copied from stdin with (format binary)'))
      await session.until('G')
      for (let at = 0; at < bytes.length; at += 50_000) await session.send(copyData(bytes.subarray(at, at + 50_000)))
      await session.ask(copyDone())
      await session.ask(query('select count(*), sum(id) from copied; rollback'))
    },
  },
  {
    what: 'COPY in that the client gives up',
    async play(session) {
      await session.send(query('copy copied from stdin'))
      await session.until('G')
      await session.ask([copyData('1\tone\n'), copyFail('changed my mind')])
      await session.ask(query('select count(*) from copied'))
    },
  },
  {
    what: 'COPY in of what cannot be read, and the rest is thrown away',
    async play(session) {
      await session.send(query('copy copied from stdin'))
      await session.until('G')
      await session.ask([copyData('1\tone\nx\ty\n'), repeat(200, (i) => copyData(`${i + 2}\trest\n`)), copyDone()])
      await session.ask(query('select count(*) from copied'))
      await session.send(query('copy copied from stdin'))
      await session.until('G')
      await session.ask([copyData('1\tone\n1\ttwice\n'), copyDone()])
      await session.ask(query('select 1'))
    },
  },
  {
    what: 'COPY in that fails while the client goes on sending',
    async play(session) {
      await session.send(query('copy copied from stdin'))
      await session.until('G')
      await session.send(copyData('no number\n'))
      await session.until('E')
      await session.send(copyData('1\tlate\n'), copyData('2\tlater\n'), copyDone())
      await session.until('Z')
      await session.ask(query('select count(*) from copied'))
    },
  },
  {
    what: 'COPY in without waiting for the word',
    async play(session) {
      await session.ask(query('begin'))
      await session.ask(
        [
          query('copy copied from stdin'),
          copyData('1\tone\n'),
          copyDone(),
          query('select count(*) from copied'),
          query('rollback'),
        ],
        3,
      )
      await session.ask([query('copy nowhere from stdin'), copyData('1\tone\n'), copyDone(), query('select 1')], 2)
    },
  },
  {
    what: 'COPY in by the extended protocol',
    async play(session) {
      await session.ask(query('begin'))
      await session.send(run('copy copied from stdin'), flush())
      await session.until('G')
      await session.ask([copyData('1\tone\n'), copyDone(), sync()])
      await session.ask(query('table copied; rollback'))
    },
  },
  {
    what: 'COPY in by the extended protocol, its Sync sent with the Execute',
    async play(session) {
      await session.ask(query('begin'))
      await session.send(run('copy copied from stdin'), sync())
      await session.until('G')
      await session.ask([copyData('1\tone\n'), copyDone(), sync()])
      await session.ask(query('table copied; rollback'))
    },
  },
  {
    what: 'COPY in by the extended protocol that fails',
    async play(session) {
      await session.send(run('copy copied from stdin'), flush())
      await session.until('G')
      await session.ask([copyData('bad\n'), copyDone(), sync()])
      await session.send(run('copy copied from stdin'), flush())
      await session.until('G')
      await session.ask([copyFail('no'), sync()])
      await session.ask(query('select 1'))
    },
  },
  {
    what: 'COPY in both directions in one message',
    async play(session) {
      await session.send(query(`begin; copy copied from stdin; copy copied to stdout; select 1; rollback`))
      await session.until('G')
      await session.ask([copyData('7\tseven\n'), copyDone()])
    },
  },
  asking(
    'COPY messages where there is no COPY',
    Buffer.concat([copyData('x'), copyDone(), copyFail('y'), query('select 1')]),
    Buffer.concat([copyDone(), sync()]),
  ),
]

// pg_proc: int4pl, lo_create, lo_open, lowrite, loread, lo_lseek, lo_close, lo_unlink.
const oids = { add: 177, create: 715, open: 952, write: 955, read: 954, seek: 956, close: 953, unlink: 964 }
const readAndWrite = 0x60000

const functions: Scenario[] = [
  asking(
    'functions called by their number',
    callFunction(oids.add, [int32(1), int32(2)]),
    callFunction(oids.add, [null, int32(2)]),
    callFunction(1, [int32(1)]),
    callFunction(oids.add, [int32(1)]),
    query('select 1'),
  ),
  asking(
    'a large object',
    query('begin'),
    callFunction(oids.create, [int32(424_242)]),
    callFunction(oids.open, [int32(424_242), int32(readAndWrite)]),
    callFunction(oids.write, [int32(0), Buffer.alloc(megabyte, 'L')]),
    callFunction(oids.seek, [int32(0), int32(0), int32(0)]),
    callFunction(oids.read, [int32(0), int32(2 * megabyte)]),
    callFunction(oids.close, [int32(0)]),
    callFunction(oids.close, [int32(0)]),
    query('rollback'),
  ),
]

const sessions: Scenario[] = [
  session(
    asking(
      'settings',
      query(`set timezone = 'Asia/Tokyo'; set client_encoding = 'LATIN1'; set datestyle = 'German'`),
      query(`select U&'\\00fc', now()::date = current_date`),
      query('reset all'),
      query('discard all'),
      query('select 1'),
    ),
  ),
  session(
    asking(
      'a setting that a rollback takes back',
      query(`begin; set timezone = 'Asia/Tokyo'`),
      query('rollback'),
      query('show timezone'),
    ),
  ),
  session(
    asking(
      'tables of the session',
      query('create temp table t (id int, what text); insert into t values (1)'),
      query('table t'),
      Buffer.concat([run('select * from t where id = $1', ['1']), sync()]),
      query('drop table t'),
    ),
  ),
  session(
    asking(
      'statements prepared by SQL',
      query('prepare p as select $1::int'),
      query('execute p(1)'),
      Buffer.concat([bind(['2'], { statement: 'p' }), execute(), sync()]),
      query('deallocate p'),
      query('execute p(1)'),
      query('deallocate all'),
    ),
  ),
  session(
    asking(
      'cursors that outlive their transaction',
      query('begin; declare c cursor with hold for select * from kept order by id; commit'),
      query('fetch 2 from c'),
      query('close c'),
    ),
  ),
  session(
    asking(
      'locks of the session',
      query('select pg_advisory_lock(8)'),
      query('select pg_advisory_unlock(8)'),
      query('select pg_advisory_unlock(8)'),
    ),
  ),
  session(
    asking(
      'sequences',
      query(`create temp sequence s; select nextval('s')`),
      query(`select currval('s'), lastval()`),
      query('discard sequences'),
      query('select lastval()'),
    ),
  ),
  session({
    what: 'notifications',
    async play(session) {
      await session.ask(query('listen news; listen "other news"'))
      await session.ask(query(`notify news; notify news, 'one'`))
      await session.ask(query(`begin; select pg_notify('other news', 'two'); notify nobody`))
      await session.ask(query('commit'))
      await session.ask([run(`select pg_notify('news', repeat('n', 7000))`), sync()])
      await session.ask(query('unlisten *'))
      await session.ask(query(`notify news, 'unheard'`))
    },
  }),
  {
    what: 'a cancel, and the session goes on',
    async play(session) {
      await session.send(query('select pg_sleep(60)'))
      await session.cancelSleep()
      await session.send(run('select pg_sleep(60)'), sync())
      await session.cancelSleep()
      await session.ask(query('select 1'))
    },
  },
  {
    what: 'a cancel in a transaction',
    async play(session) {
      await session.ask(query('begin'))
      await session.send(query('select pg_sleep(60)'))
      await session.cancelSleep()
      await session.ask(query('select 1'))
      await session.ask(query('rollback'))
    },
  },
  {
    what: 'a client that asks and says goodbye at once',
    async play(session) {
      await session.send(query('select 1'), run('select 2'), sync())
      await session.end()
    },
  },
  {
    what: 'a client that asks and closes its half',
    async play(session) {
      await session.send(query(`select i, repeat('h', 100) from generate_series(1, 20000) i`))
      session.halfClose()
      await session.closed()
    },
  },
  {
    what: 'a client that leaves in the middle of a transaction',
    async play(session) {
      await session.ask(query(`begin; insert into copied values (1, 'x')`))
      await session.end()
    },
  },
  session({
    what: 'a session that is ended from outside',
    async play(session) {
      await session.send(query('select pg_terminate_backend(pg_backend_pid())'))
      await session.closed()
    },
  }),
  session({
    what: 'a message that there is none',
    async play(session) {
      await session.send(writeMessage('y', cString('what?')))
      await session.closed()
    },
  }),
  session({
    what: 'a message that is cut short inside',
    async play(session) {
      await session.ask([writeMessage('B', Buffer.from('\0\0\0')), sync()])
      await session.ask([writeMessage('E', cString('')), sync()])
      await session.ask(writeMessage('Q', Buffer.from('select 1')))
      await session.ask(query('select 1'))
    },
  }),
]

export const corpus: readonly Scenario[] = [...simple, ...extended, ...copy, ...functions, ...sessions]

// Relations within relations, of every kind.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start()
})
after(() => engine[Symbol.asyncDispose]())

const cases: readonly (readonly [what: string, path: string, expected: unknown])[] = [
  [
    'many to one',
    '/members?select=name,clubs(name)&id=in.(1,4)',
    [
      { name: 'Ada', clubs: { name: 'Alpha' } },
      { name: 'Di, "the" (1)', clubs: null },
    ],
  ],
  [
    'one to many',
    '/clubs?select=name,members(name)&order=id',
    [
      { name: 'Alpha', members: [{ name: 'Ada' }, { name: 'Bob' }] },
      { name: 'Beta', members: [{ name: 'Cy' }] },
      { name: 'Gamma', members: [] },
    ],
  ],
  [
    'one to one',
    '/members?select=name,passports(number)&id=in.(1,3)',
    [
      { name: 'Ada', passports: { number: 'A1' } },
      { name: 'Cy', passports: null },
    ],
  ],
  [
    'many to many',
    '/teams?select=title,members(name)&members.order=name.desc&order=id',
    [
      { title: 'Red', members: [{ name: 'Bob' }, { name: 'Ada' }] },
      { title: 'Blue', members: [{ name: 'Bob' }] },
    ],
  ],
  [
    'by a hint, and by the column',
    '/matches?select=home:teams!matches_home_id_fkey(title),away:away_id(title)',
    [{ home: { title: 'Red' }, away: { title: 'Blue' } }],
  ],
  ['by the constraint', '/matches?select=matches_home_id_fkey(title)', [{ matches_home_id_fkey: { title: 'Red' } }]],
  ['itself, up', '/members?select=name,mentor:mentor_id(name)&id=eq.2', [{ name: 'Bob', mentor: { name: 'Ada' } }]],
  [
    'itself, down',
    '/members?select=name,members(name)&id=eq.1',
    [{ name: 'Ada', members: [{ name: 'Bob' }, { name: 'Cy' }] }],
  ],
  [
    'itself, down, by the column',
    '/members?select=name,members!mentor_id(name)&id=eq.1',
    [{ name: 'Ada', members: [{ name: 'Bob' }, { name: 'Cy' }] }],
  ],
  ['a view', '/senior_members?select=name,clubs(name)&member=eq.1', [{ name: 'Ada', clubs: { name: 'Alpha' } }]],
  [
    'into a view',
    '/clubs?select=name,senior_members(name)&id=eq.1',
    [{ name: 'Alpha', senior_members: [{ name: 'Ada' }] }],
  ],
  ['a view of a view', '/seniors_of_seniors?select=id,clubs(name)&id=eq.1', [{ id: 1, clubs: { name: 'Alpha' } }]],
  [
    'computed',
    '/clubs?select=name,rivals(name)&id=eq.1',
    [{ name: 'Alpha', rivals: [{ name: 'Beta' }, { name: 'Gamma' }] }],
  ],
  [
    'nested',
    '/clubs?select=name,members(name,passports(number))&id=eq.2',
    [{ name: 'Beta', members: [{ name: 'Cy', passports: null }] }],
  ],
  [
    'inner',
    '/clubs?select=name,members!inner(name)&members.level=eq.senior',
    [{ name: 'Alpha', members: [{ name: 'Ada' }] }],
  ],
  [
    'conditions within',
    '/clubs?select=name,members(name)&members.level=eq.senior&id=lte.2&order=id',
    [
      { name: 'Alpha', members: [{ name: 'Ada' }] },
      { name: 'Beta', members: [] },
    ],
  ],
  [
    'logic within, by alias',
    '/clubs?select=name,m:members(name)&m.or=(name.eq.Bob,name.eq.Cy)&order=id&limit=2',
    [
      { name: 'Alpha', m: [{ name: 'Bob' }] },
      { name: 'Beta', m: [{ name: 'Cy' }] },
    ],
  ],
  [
    'a range within',
    '/clubs?select=name,members(name)&members.order=id.desc&members.limit=1&id=eq.1',
    [{ name: 'Alpha', members: [{ name: 'Bob' }] }],
  ],
  ['none of it', '/members?select=name,clubs()&clubs=is.null', [{ name: 'Di, "the" (1)' }]],
  [
    'some of it',
    '/members?select=name,clubs()&clubs=not.is.null&order=id',
    [{ name: 'Ada' }, { name: 'Bob' }, { name: 'Cy' }],
  ],
  ['none of many', '/clubs?select=name,members()&members=is.null', [{ name: 'Gamma' }]],
  [
    'either',
    '/members?select=name,clubs()&or=(clubs.is.null,name.eq.Ada)&order=id',
    [{ name: 'Ada' }, { name: 'Di, "the" (1)' }],
  ],
  [
    'ordered by it',
    '/members?select=name,clubs(id)&order=clubs(name).desc.nullslast,id&limit=2',
    [
      { name: 'Cy', clubs: { id: 2 } },
      { name: 'Ada', clubs: { id: 1 } },
    ],
  ],
  [
    'spread to one',
    '/members?select=name,...clubs(club:name)&id=in.(1,4)',
    [
      { name: 'Ada', club: 'Alpha' },
      { name: 'Di, "the" (1)', club: null },
    ],
  ],
  [
    'spread to many',
    '/clubs?select=club:name,...members(name,level)&order=id&members.order=id.desc&limit=1',
    [{ club: 'Alpha', name: ['Bob', 'Ada'], level: ['junior', 'senior'] }],
  ],
  [
    'spread with an embed in it',
    '/passports?select=number,...members(name,clubs(name))&member_id=eq.1',
    [{ number: 'A1', name: 'Ada', clubs: { name: 'Alpha' } }],
  ],
]

for (const [what, path, expected] of cases) {
  test(`${what}: ${path}`, async () => {
    const { status, json } = await engine.ask(path)
    assert.equal(status, 200, JSON.stringify(json))
    assert.deepEqual(json, expected)
  })
}

const refusals: readonly (readonly [path: string, status: number, code: string, text: RegExp])[] = [
  [
    '/clubs?select=nope(*)',
    400,
    'PGRST200',
    /Searched for a foreign key relationship between 'clubs' and 'nope' in the schema 'public', but no matches were found\./,
  ],
  ['/clubs?select=members!nope(*)', 400, 'PGRST200', /using the hint 'nope'/],
  [
    '/matches?select=teams(title)',
    300,
    'PGRST201',
    /Try changing 'teams' to one of the following: 'teams!matches_away_id_fkey', 'teams!matches_home_id_fkey'/,
  ],
  ['/clubs?members.name=eq.Ada', 400, 'PGRST108', /'members' is not an embedded resource in this request/],
  ['/clubs?select=name,members(name)&members=eq.1', 400, 'PGRST120', /Bad operator on the 'members' embedded resource/],
  [
    '/clubs?select=name,members(name)&order=members(name)',
    400,
    'PGRST118',
    /A related order on 'members' is not possible/,
  ],
  ['/clubs?select=count()', 400, 'PGRST123', /Use of aggregate functions is not allowed/],
]

for (const [path, status, code, expected] of refusals) {
  test(`${code}: ${path}`, async () => {
    const answer = await engine.ask(path)
    assert.equal(answer.status, status, answer.text)
    assert.equal((answer.json as { code: string }).code, code)
    assert.match(answer.text, expected)
  })
}

// Conditions, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import { describe } from 'node:test'
import { labels, reads, refuses, useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('conditions', () => {
  reads(engine, [
    ['greater or equal, repeated', '/tools?select=label&price=gte.10&price=lte.15', labels('saw')],
    ['true', '/tools?select=label&sold=is.true', labels('saw')],
    ['unknown', '/tools?select=label&sold=is.unknown', labels('nail')],
    ['whatever the case', '/tools?select=label&sold=is.NULL', labels('nail')],
    ['strictly left', '/shops?select=name&open=sl.[5,9)', [{ name: 'North' }]],
    ['strictly right', '/shops?select=name&open=sr.[1,5)', [{ name: 'South' }]],
    ['not right of', '/shops?select=name&open=nxr.[1,5)', [{ name: 'North' }]],
    ['not left of', '/shops?select=name&open=nxl.[5,9)', [{ name: 'South' }]],
    ['adjacent', '/shops?select=name&open=adj.[9,10)', [{ name: 'South' }]],
    ['a range has it', '/shops?select=name&open=cs.[2,3)', [{ name: 'North' }]],
    ['a vector', '/shops?select=name&words=fts.hammer', [{ name: 'North' }]],
    ['words', '/shops?select=name&words=plfts(english).the big', [{ name: 'North' }]],
    ['a phrase', '/shops?select=name&words=phfts(english).big hammers', [{ name: 'North' }]],
    ['a phrase that is not there', '/shops?select=name&words=phfts(english).hammer big', []],
    ['a composite', '/shops?select=name&place->>street=eq.Side', [{ name: 'South' }]],
    ['all of them', '/tools?select=label&price=gt(all).{1,5}&order=id', labels('saw', 'axe')],
    ['what follows a tree is ignored', '/tools?select=label&or=(label.eq.saw,label.eq.nail)xyz', labels('saw', 'nail')],
    ['blanks in a tree', '/tools?select=label&or=( label.eq.saw, label.eq.nail)', labels('saw', 'nail')],
    [
      'arrays in a tree',
      '/clubs?select=name&or=(tags.cs.{a,b},name.eq.Gamma)&order=id',
      [{ name: 'Alpha' }, { name: 'Gamma' }],
    ],
    ['NUL is no part of it', '/tools?select=label&label=eq.sa%00w', labels('saw')],
    ['of a representation', '/shops?select=name&paint=eq.%230000FF', [{ name: 'North' }]],
  ])
  refuses(engine, [
    [
      'of what is not selected',
      '/tools?select=label&shops.name=eq.x',
      400,
      {
        code: 'PGRST108',
        message: "'shops' is not an embedded resource in this request",
        hint: "Verify that 'shops' is included in the 'select' query parameter.",
      },
    ],
    ['of a relation', '/tools?select=label,shops(name)&shops=eq.x', 400, { code: 'PGRST120' }],
    [
      'a tree without anything',
      '/tools?or=()',
      400,
      {
        code: 'PGRST100',
        details:
          'unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)',
        message: '"failed to parse logic tree (())" (line 1, column 4)',
      },
    ],
    [
      'a tree that is none',
      '/tools?or=)(',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected ")" expecting "("',
        message: '"failed to parse logic tree ()()" (line 1, column 3)',
      },
    ],
    [
      'a word that is misspelled',
      '/tools?and=(ord(id.eq.1,id.eq.1),id.eq.2)',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "d" expecting "("',
        message: '"failed to parse logic tree ((ord(id.eq.1,id.eq.1),id.eq.2))" (line 1, column 7)',
      },
    ],
    [
      'a list without parentheses',
      '/tools?or=(id.in.1,2,id.eq.3)',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "1" expecting "("',
        message: '"failed to parse logic tree ((id.in.1,2,id.eq.3))" (line 1, column 10)',
      },
    ],
    [
      'an operator that is none',
      '/tools?id=is.nil',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "n" expecting isVal: (null, not_null, true, false, unknown)',
        message: '"failed to parse filter (is.nil)" (line 1, column 4)',
      },
    ],
    [
      'an order that is none',
      '/tools?order=id.foo',
      400,
      { code: 'PGRST100', details: 'unexpected "f" expecting "asc", "desc", "nullsfirst" or "nullslast"' },
    ],
    [
      'a selection that is none',
      '/tools?select=a,,b',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "," expecting "...", field name (* or [a..z0..9_$]), "*" or "count()"',
        message: '"failed to parse select parameter (a,,b)" (line 1, column 3)',
      },
    ],
  ])
})

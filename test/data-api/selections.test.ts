// What is selected, and what is embedded, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import { describe } from 'node:test'
import { labels, reads, refuses, useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('what is selected', () => {
  reads(engine, [
    ['of a composite', '/shops?select=place->street,n:place->>number&name=eq.North', [{ street: 'Main', n: '7' }]],
    ['keys of other characters', '/marked?select=details->!@%23%24->>ü x', [{ 'ü x': 'y' }]],
    ['a cast, before and after', '/tools?select=price::integer.sum()::text', [{ sum: '31' }]],
    [
      'groups',
      '/tools?select=region,count(),price.max()&order=region',
      [
        { region: 'n', count: 2, max: 20 },
        { region: 's', count: 1, max: 1 },
      ],
    ],
    ['a representation', '/shops?select=name,paint&name=eq.South', [{ name: 'South', paint: '#00FF00' }]],
    [
      'a representation within all',
      '/shops?select=*&name=eq.South',
      [
        {
          region: 's',
          number: 1,
          name: 'South',
          place: { street: 'Side', number: 2 },
          open: '[5,9)',
          words: "'nail':2 'small':1",
          paint: '#00FF00',
        },
      ],
    ],
    [
      'a representation that is embedded',
      '/tools?select=label,shops(paint)&label=eq.saw',
      [{ label: 'saw', shops: { paint: '#0000FF' } }],
    ],
    [
      'by a key of several columns',
      '/tools?select=label,shops(name)&label=eq.nail',
      [{ label: 'nail', shops: { name: 'South' } }],
    ],
    [
      'left',
      '/tools?select=label,shops!left(name)&shops.name=eq.South&order=id',
      [
        { label: 'saw', shops: null },
        { label: 'axe', shops: null },
        { label: 'nail', shops: { name: 'South' } },
      ],
    ],
    [
      'a hint and a join',
      '/tools?select=label,shops!tools_region_shop_fkey!inner(name)&shops.name=eq.South',
      [{ label: 'nail', shops: { name: 'South' } }],
    ],
    ['spread', '/tools?select=label,...shops(shop_name:name)&label=eq.saw', [{ label: 'saw', shop_name: 'North' }]],
    [
      'spread of many',
      '/shops?select=name,...tools(label,price)&tools.order=price.desc&name=eq.North',
      [{ name: 'North', label: ['axe', 'saw'], price: [20, 10] }],
    ],
    [
      'spread in a spread',
      '/passports?select=number,...members(name,...clubs(club:name))&number=eq.A1',
      [{ number: 'A1', name: 'Ada', club: 'Alpha' }],
    ],
    [
      'computed, to one',
      '/shops?select=name,last_tool(label)&order=name',
      [
        { name: 'North', last_tool: { label: 'axe' } },
        { name: 'South', last_tool: { label: 'nail' } },
      ],
    ],
    [
      'a view that is stored',
      '/shop_names?select=name,tools(label)&tools.order=id&name=eq.North',
      [{ name: 'North', tools: labels('saw', 'axe') }],
    ],
    ['partitions by their parent', '/visits?select=id,day', [{ id: 1, day: '2020-02-02' }]],
    [
      'through a junction that is named',
      '/teams?select=title,members!team_members(name)&id=eq.2',
      [{ title: 'Blue', members: [{ name: 'Bob' }] }],
    ],
    [
      'aggregates within',
      '/shops?select=name,tools(price.sum())&order=name',
      [
        { name: 'North', tools: [{ sum: 30 }] },
        { name: 'South', tools: [{ sum: 1 }] },
      ],
    ],
    [
      'aggregates through a spread',
      '/tools?select=...shops(name),price.sum()&region=eq.n',
      [{ name: 'North', sum: 30 }],
    ],
  ])
  refuses(engine, [
    [
      'which of several',
      '/matches?select=teams(title)',
      300,
      {
        code: 'PGRST201',
        message: "Could not embed because more than one relationship was found for 'matches' and 'teams'",
      },
    ],
    [
      'none',
      '/tools?select=label,clubs(name)',
      400,
      {
        code: 'PGRST200',
        details:
          "Searched for a foreign key relationship between 'tools' and 'clubs' in the schema 'public', but no matches were found.",
      },
    ],
    [
      'none of this hint',
      '/tools?select=label,shops!nope(name)',
      400,
      {
        code: 'PGRST200',
        details:
          "Searched for a foreign key relationship between 'tools' and 'shops' using the hint 'nope' in the schema 'public', but no matches were found.",
      },
    ],
    ['ordered by many', '/shops?select=name,tools(label)&order=tools(label)', 400, { code: 'PGRST118' }],
    ['aggregates in a spread of many', '/shops?select=name,...tools(price.sum())', 400, { code: 'PGRST127' }],
    ['a partition', '/visits_2020', 404, { code: 'PGRST205' }],
  ])
})

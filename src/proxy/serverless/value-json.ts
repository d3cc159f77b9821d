// A value as Postgres prints it, as JSON: what JSON has a type for becomes that type, everything else a string.
//
// A bigint or a numeric may hold more than a JavaScript number, so both stay strings. Arrays become arrays; a multidimensional one's
// bounds (`[2:3]={…}`) cannot be said in JSON and are dropped.

const bool = 16
const int2 = 21
const int4 = 23
const float4 = 700
const float8 = 701
const json = 114
const jsonb = 3802
const text = 25

/** postgres: src/include/catalog/pg_type.dat. Elements that become strings are all the same here. */
const elementTypes: ReadonlyMap<number, number> = new Map([
  [1000, bool],
  [1005, int2],
  [1007, int4],
  [1021, float4],
  [1022, float8],
  [199, json],
  [3807, jsonb],
  ...[
    143, 271, 629, 651, 719, 775, 791, 1001, 1002, 1003, 1006, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
    1017, 1018, 1019, 1020, 1027, 1028, 1034, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1263, 1270, 1561, 1563,
    2201, 2207, 2208, 2209, 2210, 2211, 2949, 2951, 3643, 3644, 3645, 3735, 3770, 3905, 3907, 3909, 3911, 3913, 3927,
    4073, 4090, 4097, 4192, 6150, 6151, 6152, 6153, 6155, 6157,
  ].map((array): [number, number] => [array, text]),
])
const boxArray = 1020

/** JSON text. Throws where an array is none. */
export function valueJson(value: string, dataTypeId: number): string {
  switch (dataTypeId) {
    case bool:
      return value === 't' ? 'true' : 'false'
    case int2:
    case int4:
      return value
    case float4:
    case float8:
      // NaN and the infinities have no number in JSON.
      return /^-?\d/.test(value) ? value : JSON.stringify(value)
    case json:
    case jsonb:
      return value
  }
  const element = elementTypes.get(dataTypeId)
  if (element === undefined) return JSON.stringify(value)
  return new ArrayText(value, element, dataTypeId === boxArray ? ';' : ',').json()
}

/** Postgres' text of an array (documentation, "Array Input and Output Syntax"). */
class ArrayText {
  readonly #text: string
  readonly #element: number
  readonly #delimiter: string
  #at = 0

  constructor(arrayText: string, element: number, delimiter: string) {
    this.#text = arrayText
    this.#element = element
    this.#delimiter = delimiter
  }

  json(): string {
    if (this.#text.startsWith('[')) this.#at = this.#text.indexOf('=') + 1
    const array = this.#array()
    if (this.#at !== this.#text.length) throw new Error('unbalanced array')
    return array
  }

  #array(): string {
    this.#expect('{')
    const items: string[] = []
    while (this.#peek() !== '}') {
      if (items.length > 0) this.#expect(this.#delimiter)
      items.push(this.#item())
    }
    this.#at++
    return `[${items.join(',')}]`
  }

  #item(): string {
    switch (this.#peek()) {
      case '{':
        return this.#array()
      case '"':
        return valueJson(this.#quoted(), this.#element)
    }
    const start = this.#at
    while (this.#peek() !== '}' && this.#peek() !== this.#delimiter) this.#at++
    const item = this.#text.slice(start, this.#at)
    return item === 'NULL' ? 'null' : valueJson(item, this.#element)
  }

  #quoted(): string {
    let value = ''
    let start = ++this.#at
    for (;;) {
      const character = this.#peek()
      if (character === '"' || character === '\\') {
        value += this.#text.slice(start, this.#at)
        if (character === '"') break
        // The one behind it is taken as it is.
        start = ++this.#at
        this.#peek()
      }
      this.#at++
    }
    this.#at++
    return value
  }

  #peek(): string {
    const character = this.#text[this.#at]
    if (character === undefined) throw new Error('unbalanced array')
    return character
  }

  #expect(character: string): void {
    if (this.#peek() !== character) throw new Error('unbalanced array')
    this.#at++
  }
}

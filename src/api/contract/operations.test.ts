import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toContract } from './operations.ts'

const document = {
  paths: {
    '/things/{thing_id}': {
      parameters: [{ name: 'thing_id', in: 'path', required: true, description: 'prose', schema: { type: 'string' } }],
      get: {
        operationId: 'getThing',
        parameters: [{ $ref: '#/components/parameters/Limit' }],
        responses: {
          200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } },
          204: {},
        },
      },
      put: {
        operationId: 'replaceThing',
        deprecated: true,
        requestBody: { content: { 'multipart/form-data': { schema: { type: 'object' } } }, required: true },
        responses: { default: { $ref: '#/components/responses/Failure' } },
      },
    },
  },
  components: {
    parameters: { Limit: { name: 'limit', in: 'query', schema: { type: 'integer' } } },
    responses: { Failure: { content: { 'application/json': { schema: { type: 'object' } } } } },
    schemas: {
      Thing: {
        type: 'object',
        description: 'prose',
        'x-sensitive': ['secret'],
        properties: {
          description: { type: 'string', example: 'x' },
          at: { type: 'string', format: 'date-time', nullable: true },
          level: { type: 'string', nullable: true, allOf: [{ $ref: '#/components/schemas/Level' }] },
          tags: { type: 'object', additionalProperties: { type: 'string', nullable: true } },
        },
      },
      Level: { type: 'string', enum: ['a', 'b'] },
    },
  },
}

test('an OpenAPI document becomes operations and JSON schemas', () => {
  const contract = toContract(document, '1.2.3')
  assert.equal(contract.version, '1.2.3')
  assert.deepEqual(contract.operations, [
    {
      id: 'getThing',
      method: 'GET',
      path: '/things/{thing_id}',
      deprecated: false,
      parameters: [
        { name: 'thing_id', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'limit', in: 'query', required: false, schema: { type: 'integer' } },
      ],
      body: undefined,
      responses: { 200: { $ref: 'contract#/definitions/Thing' }, 204: null },
    },
    {
      id: 'replaceThing',
      method: 'PUT',
      path: '/things/{thing_id}',
      deprecated: true,
      parameters: [{ name: 'thing_id', in: 'path', required: true, schema: { type: 'string' } }],
      body: undefined,
      responses: { default: { type: 'object' } },
    },
  ])
})

test('nullable becomes a type of its own, prose is dropped, fields named like prose stay', () => {
  assert.deepEqual(toContract(document, '1').schemas['Thing'], {
    type: 'object',
    properties: {
      description: { type: 'string' },
      at: { type: ['string', 'null'], format: 'date-time' },
      level: { anyOf: [{ type: 'null' }, { type: 'string', allOf: [{ $ref: 'contract#/definitions/Level' }] }] },
      tags: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
    },
  })
})

test('half a document is an error', () => {
  assert.throws(() => toContract({ paths: {} }, '1'), /components is not an object/)
  assert.throws(() => toContract('text', '1'), /document is not an object/)
})

// The hash chain as a client of Gonk computes it, from the layout of the bytes alone: first against
// vectors, then over what a server tells.
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { integrityOf } from '../../src/api/gonk/integrity.ts'
import type { UnchainedEvent } from '../../src/api/gonk/types.ts'
import { sha256 } from '../../src/crypto.ts'
import { allOf, annotating, anObject, aWorld, type Answer, ok, sha256Hex } from './gonk-server.ts'

const uuidBytes = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex')
const id = ({ uuid, version }: { uuid: string; version: number }) =>
  Buffer.concat([uuidBytes(uuid), little(version)])

/** 8 bytes, the lowest first. */
function little(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  for (let i = 0, rest = value; i < 8; i++, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  return bytes
}

/**
 * What is hashed of an event, whatever its type: the members it has, in the order of the layout.
 */
function layout(event: Answer['body']): Buffer {
  const { object, annotation } = event
  const parts = [uuidBytes(event.uuid), Buffer.from(event.timestamp)]
  if (event.owner !== undefined) {
    parts.push(Buffer.from(event.owner), Buffer.from([event.owner_action]))
  } else parts.push(Buffer.from([event.action ?? event.decision]))
  if (event.event_uuid !== undefined) parts.push(uuidBytes(event.event_uuid))
  if (event.object_identifier) parts.push(id(event.object_identifier))
  if (event.annotation_identifier) parts.push(id(event.annotation_identifier))
  for (const one of event.object_identifiers ?? []) parts.push(id(one))
  const thing = object ?? annotation
  if (thing === undefined) return Buffer.concat(parts)
  parts.push(id(thing))
  if (object) parts.push(Buffer.from(object.name), Buffer.from(object.format))
  else parts.push(id(annotation.schema))
  parts.push(little(thing.size), Buffer.from([thing.hash_type]), Buffer.from(thing.hash, 'hex'))
  return Buffer.concat(parts)
}

function chainOf(events: readonly Answer['body'][]): string[] {
  let before: Buffer = Buffer.alloc(0)
  return events.map((event) => {
    before = createHash('sha256').update(before).update(layout(event)).digest()
    return before.toString('hex')
  })
}

const uuid = (n: number) => `00112233-4455-6677-8899-aabbccddee${String(n).padStart(2, '0')}`
const file = { name: 'birds.txt', format: 'text/plain', hash_type: 1 }
const annotation = {
  ...{ uuid: uuid(3), version: 0, schema: { uuid: uuid(2), version: 1 } },
  ...{ size: 5, hash_type: 1, hash: sha256Hex('hello') },
}
const vectors: readonly (readonly [number, object, bytes: number, chain: string])[] = [
  [
    10,
    { type: 'OwnerAddEvent', owner: 'TESTUSER1', owner_action: 1 },
    53,
    'fe8e2d1de5e83dd7bd8dc9614e7ac16758b80566f6543ec88d1221f252c2f8e8',
  ],
  [
    11,
    {
      ...{ type: 'ObjectCreateEvent', action: 1 },
      object: { uuid: uuid(1), version: 0, ...file, size: 3, hash: sha256Hex('abc') },
    },
    128,
    'bebf34760b485c88c2cd59702a853c7adfcdd9923fb5daa4c072dae6eda1462c',
  ],
  [
    12,
    {
      ...{ type: 'ObjectUpdateEvent', action: 2 },
      object: { uuid: uuid(1), version: 1, ...file, size: 4, hash: sha256Hex('abcd') },
    },
    128,
    '52d51a0e1ccdd1a2a7a37881cf9ccb8fc69cbde22b425a7ca231366cafb418f7',
  ],
  [
    13,
    {
      ...{ type: 'ObjectDeleteEvent', action: 4 },
      object_identifier: { uuid: uuid(1), version: 258 },
    },
    68,
    'd098b9c7fe0060717be92e4dcae842008b5e3c8946ff23c7f5e8e44223e3d31a',
  ],
  [
    14,
    {
      ...{ type: 'AnnotationCreateEvent', action: 1, annotation },
      object_identifiers: [
        { uuid: uuid(1), version: 0 },
        { uuid: uuid(4), version: 7 },
      ],
    },
    181,
    '85a19759cad9abfd56055a31ef6010517400506a49ad160ec6f85d010a7f78c0',
  ],
  [
    15,
    { type: 'AnnotationUpdateEvent', action: 2, annotation },
    133,
    'cef6334fc3d5276087404fd6ec41f3447c0ff425b85065b57c06a89b4bc1985e',
  ],
  [
    16,
    {
      ...{ type: 'AnnotationDeleteEvent', action: 4 },
      annotation_identifier: { uuid: uuid(3), version: 0 },
    },
    68,
    'b06936baa9aeab0c576b7736172646d171277760fef62086d8c3e2f0482e7e14',
  ],
  [
    17,
    { type: 'ReviewAcceptEvent', decision: 1, event_uuid: uuid(11) },
    60,
    '9e12dec053262369d44cfbcb4a65e094699329739144c8cf4a811d32f1036b9b',
  ],
  [
    18,
    { type: 'ReviewRejectEvent', decision: 2, event_uuid: uuid(12) },
    60,
    '020888277f9dc12f47be87d64542e2f2a9e8d4cff0cb5e1667077713fa70cbd7',
  ],
  [
    19,
    { type: 'OwnerRemoveEvent', owner: 'TESTUSER2', owner_action: 2 },
    53,
    '5c0095c93649ed3b72bbf87cf06b8a29eee518d44c5b90157f2322a44255cea4',
  ],
]

test('gives the chains of the vectors', () => {
  const timestamp = '2023-09-28T12:00:00.000001Z'
  const events = vectors.map(([n, body]) => ({ uuid: uuid(n), timestamp, author: '', ...body }))
  const chains = vectors.map(([, , , chain]) => chain)
  expect(events.map((event) => layout(event).length)).toEqual(vectors.map(([, , size]) => size))
  expect(chainOf(events)).toEqual(chains)
  const ours = events.map((event, i) =>
    integrityOf(event as unknown as UnchainedEvent, chains[i - 1], sha256),
  )
  expect(ours).toEqual(chains)
})

test('holds over every type of event that a server tells', async () => {
  const { server, owner, aDataset, object, aSchema, accept, reject } = await aWorld()
  try {
    const D = await aDataset()
    await aSchema(D)
    const bird = await object(D, 'ein Vögelchen.txt')
    await accept(D)
    await ok(owner, 'PATCH', `${D}/objects/${bird}`, anObject('b', 'new'))
    await reject(D)
    await ok(owner, 'DELETE', `${D}/objects/${bird}/0`)
    const other = await object(D, 'other')
    const objects = [
      { uuid: bird, version: 0 },
      { uuid: other, version: 0 },
    ]
    const made = await ok(owner, 'POST', `${D}/annotations`, annotating(objects))
    const { object_identifiers: _, ...patch } = annotating([])
    await ok(owner, 'PATCH', `${D}/annotations/${made.uuid}`, patch)
    await ok(owner, 'DELETE', `${D}/annotations/${made.uuid}/0`)
    await ok(owner, 'PUT', `${D}/owners/other`)
    await ok(owner, 'DELETE', `${D}/owners/other`)
    const events = await allOf(owner, `${D}/events`)
    expect(new Set(events.map((event: { type: string }) => event.type))).toHaveLength(10)
    expect(events.map((event: { integrity: string }) => event.integrity)).toEqual(chainOf(events))
    const timestamps = events.map((event: { timestamp: string }) => event.timestamp)
    for (const timestamp of timestamps) {
      expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/)
    }
    expect(events.map((event: { author: string }) => event.author)).toEqual(
      events.map(() => 'owner'),
    )
  } finally {
    await server.close()
  }
})

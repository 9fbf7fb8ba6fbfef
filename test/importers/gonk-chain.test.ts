// The hash chain by which imported histories are checked, against vectors that Gonk itself made.
import { describe, expect, test } from 'vitest'
import { integrityOf } from '../../src/api/gonk/integrity.ts'
import { sha256 } from '../../src/crypto.ts'
import type { GonkEvent } from '../../src/importers/gonk/events.ts'

describe('the hash chain', () => {
  const uuid = (nn: string) => `00112233-4455-6677-8899-aabbccddee${nn}`
  const common = { timestamp: '2023-09-28T12:00:00.000001Z', author: 'x', integrity: '' }
  const hash = (hex: string) => ({ hash_type: 1 as const, hash: hex })
  const abc = hash('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  const abcd = hash('88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589')
  const hello = hash('2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824')
  const file = { uuid: uuid('01'), name: 'birds.txt', format: 'text/plain' }
  const annotation = {
    ...{ uuid: uuid('03'), version: 0, size: 5, ...hello },
    schema: { uuid: uuid('02'), version: 1 },
  }
  const events = [
    { type: 'OwnerAddEvent', uuid: uuid('10'), owner: 'TESTUSER1', owner_action: 1 },
    {
      ...{ type: 'ObjectCreateEvent', uuid: uuid('11'), action: 1 },
      object: { ...file, version: 0, size: 3, ...abc },
    },
    {
      ...{ type: 'ObjectUpdateEvent', uuid: uuid('12'), action: 2 },
      object: { ...file, version: 1, size: 4, ...abcd },
    },
    {
      ...{ type: 'ObjectDeleteEvent', uuid: uuid('13'), action: 4 },
      object_identifier: { uuid: uuid('01'), version: 258 },
    },
    {
      ...{ type: 'AnnotationCreateEvent', uuid: uuid('14'), action: 1, annotation },
      object_identifiers: [
        { uuid: uuid('01'), version: 0 },
        { uuid: uuid('04'), version: 7 },
      ],
    },
    { type: 'AnnotationUpdateEvent', uuid: uuid('15'), action: 2, annotation },
    {
      ...{ type: 'AnnotationDeleteEvent', uuid: uuid('16'), action: 4 },
      annotation_identifier: { uuid: uuid('03'), version: 0 },
    },
    { type: 'ReviewAcceptEvent', uuid: uuid('17'), decision: 1, event_uuid: uuid('11') },
    { type: 'ReviewRejectEvent', uuid: uuid('18'), decision: 2, event_uuid: uuid('12') },
    { type: 'OwnerRemoveEvent', uuid: uuid('19'), owner: 'TESTUSER2', owner_action: 2 },
  ].map((event) => ({ ...common, ...event }) as GonkEvent)
  const chain = [
    'fe8e2d1de5e83dd7bd8dc9614e7ac16758b80566f6543ec88d1221f252c2f8e8',
    'bebf34760b485c88c2cd59702a853c7adfcdd9923fb5daa4c072dae6eda1462c',
    '52d51a0e1ccdd1a2a7a37881cf9ccb8fc69cbde22b425a7ca231366cafb418f7',
    'd098b9c7fe0060717be92e4dcae842008b5e3c8946ff23c7f5e8e44223e3d31a',
    '85a19759cad9abfd56055a31ef6010517400506a49ad160ec6f85d010a7f78c0',
    'cef6334fc3d5276087404fd6ec41f3447c0ff425b85065b57c06a89b4bc1985e',
    'b06936baa9aeab0c576b7736172646d171277760fef62086d8c3e2f0482e7e14',
    '9e12dec053262369d44cfbcb4a65e094699329739144c8cf4a811d32f1036b9b',
    '020888277f9dc12f47be87d64542e2f2a9e8d4cff0cb5e1667077713fa70cbd7',
    '5c0095c93649ed3b72bbf87cf06b8a29eee518d44c5b90157f2322a44255cea4',
  ]

  test('is what Gonk itself computes', () => {
    let before: string | undefined
    expect(events.map((event) => (before = integrityOf(event, before, sha256)))).toEqual(chain)
  })
})

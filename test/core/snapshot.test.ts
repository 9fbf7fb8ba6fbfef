import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import type { AnnotationValue, FileValue } from '../../src/core/event.ts'
import {
  bytesOfHex,
  type CheckpointId,
  cidOfDigest,
  type DatasetId,
  type EventId,
  founderTenure,
  type ObjectId,
  type PublicKey,
  type TenureId,
  type VersionId,
} from '../../src/core/ids.ts'
import { objectRowOf } from '../../src/core/objects.ts'
import {
  decodeSnapshot,
  encodeSnapshot,
  objectRecordOf,
  objectRowOfRecord,
  recordBlocksOf,
  type Snapshot,
} from '../../src/core/snapshot.ts'
import type { ObjectRow, Version } from '../../src/core/state.ts'

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const digest = (text: string) => createHash('sha256').update(text).digest('hex')
const event = (n: number) => digest(`event ${n}`) as EventId
const object = digest('object') as ObjectId
const cid = (text: string, codec = 0x71) => cidOfDigest(bytesOfHex(digest(text)), codec)

class MemoryNodes {
  readonly blocks = new Map<string, Uint8Array>()
  readonly sha256 = sha256
  readonly get = async (link: CID) => this.blocks.get(link.toString())
  readonly put = (link: CID, bytes: Uint8Array): void => {
    this.blocks.set(link.toString(), bytes)
  }
}

function file(n: number): FileValue {
  const content = cid(`content ${n}`, 0x55).bytes
  return {
    type: 'file',
    name: `dir/${n}`,
    mediaType: 'image/png',
    sizeBytes: n,
    content,
    ...(n % 2 === 0 && { meta: '{"a":1}' }),
  }
}

function annotation(n: number): AnnotationValue {
  const schema = { proposal: event(900), index: 3 }
  const common = { type: 'annotation' as const, targets: [schema], schema, sizeBytes: 4 }
  return n % 2 === 0
    ? { ...common, inline: Buffer.from('true').subarray() }
    : { ...common, content: cid(`body ${n}`, 0x70).bytes }
}

function date(n: number): Uint8Array {
  const bytes = new Uint8Array(80)
  new DataView(bytes.buffer).setUint32(4, n)
  return bytes
}

function version(n: number, fields: Partial<Version> = {}): Version {
  const base: VersionId[] = n === 0 ? [] : [{ proposal: event(n - 1), index: 0 }]
  const id = { proposal: event(n), index: 0 }
  return { id, date: date(n), op: n === 0 ? 'create' : 'update', base, value: file(n), ...fields }
}

/** All CIDs in a value that are links, not bytes. */
function linksIn(value: unknown): string[] {
  const link = CID.asCID(value)
  if (link) return [link.toString()]
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(linksIn)
}

async function roundTrip(row: ObjectRow) {
  const store = new MemoryNodes()
  const record = await objectRecordOf(row, store)
  const decoded: unknown = dagCbor.decode(dagCbor.encode(record))
  return { store, record: decoded, row: await objectRowOfRecord(row.id, decoded, store) }
}

/** Without the difference between a Buffer and a Uint8Array. */
const plain = (row: ObjectRow): unknown => dagCbor.decode(dagCbor.encode(row))

describe('the record of an object', () => {
  test('gives the row back, for any graph of versions', async () => {
    const op = fc.constantFrom('create', 'update', 'delete', 'purge', 'update', 'update')
    const step = fc.record({ op, bases: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.boolean(), async (steps, isFile) => {
        const versions = steps.map(({ op: kind, bases }, n): Version => {
          const base = [...new Set(bases)].map((b) => ({ proposal: event(b), index: 0 }))
          const hasValue = kind === 'create' || kind === 'update'
          const { value: _, ...bare } = version(n, {
            op: kind as Version['op'],
            base: kind === 'create' || kind === 'purge' ? [] : base,
          })
          return hasValue ? { ...bare, value: isFile ? file(n) : annotation(n) } : bare
        })
        const row = objectRowOf(object, versions)
        expect(plain((await roundTrip(row)).row)).toEqual(plain(row))
      }),
    )
  })

  test('links the content of every version, superseded and deleted ones too, and no event', async () => {
    const { value: _, ...tombstone } = version(3, { op: 'delete' })
    const row = objectRowOf(object, [version(0), version(1), version(2), tombstone])
    const { record } = await roundTrip(row)
    expect(record).toMatchObject({ status: 'deleted' })
    expect(linksIn(record)).toEqual([0, 1, 2].map((n) => cid(`content ${n}`, 0x55).toString()))
  })

  test('links nothing of a purged object', async () => {
    const { value: _, ...purge } = version(1, { op: 'purge', base: [] })
    const row = objectRowOf(object, [version(0), purge])
    const { record } = await roundTrip({ ...row, versions: [version(0), purge] })
    expect(record).toMatchObject({ status: 'purged' })
    expect(linksIn(record)).toEqual([])
  })

  test('keeps many or large versions in linked blocks of bounded size', async () => {
    const many = objectRowOf(
      object,
      Array.from({ length: 1_300 }, (_, n) => version(n)),
    )
    const body = new Uint8Array(16 * 1024)
    const large = objectRowOf(
      object,
      Array.from({ length: 100 }, (_, n) =>
        version(n, {
          value: { ...annotation(0), sizeBytes: body.length, inline: body } as AnnotationValue,
        }),
      ),
    )
    for (const [row, chunks] of [
      [many, 3],
      [large, 7],
    ] as const) {
      const { store, record, row: again } = await roundTrip(row)
      expect(plain(again)).toEqual(plain(row))
      expect(recordBlocksOf(record).map(String)).toEqual([...store.blocks.keys()])
      expect(store.blocks.size).toBe(chunks)
      for (const bytes of store.blocks.values()) expect(bytes.length).toBeLessThan(260 * 1024)
      expect(dagCbor.encode(record).length).toBeLessThan(1_024)
      store.blocks.clear()
      const absent = expect.objectContaining({ code: 'NOT_HERE' })
      await expect(objectRowOfRecord(object, record, store)).rejects.toEqual(absent)
    }
  })

  test('is refused when it is not what a record looks like', async () => {
    const store = new MemoryNodes()
    const record = (await objectRecordOf(objectRowOf(object, [version(0)]), store)) as object
    const refusal = expect.objectContaining({ code: 'BAD_BLOCK' })
    for (const wrong of [
      null,
      7,
      {},
      { ...record, status: 'purged ' },
      { ...record, head: 5 },
      { ...record, head: null },
      { ...record, versions: [{}] },
      { ...record, versions: { links: [1] } },
      { ...record, claim: ['file', 1, date(0)] },
    ]) {
      await expect(objectRowOfRecord(object, wrong, store)).rejects.toEqual(refusal)
    }
  })
})

describe('the snapshot block', () => {
  const key = (n: number) => digest(`key ${n}`) as PublicKey
  const snapshot: Snapshot = {
    dataset: event(0) as DatasetId,
    heads: [event(1), event(2), event(3)].toSorted(),
    owners: [
      { id: founderTenure(0), key: key(0), live: true },
      // A tenure is an event's id, which may well start with `f` as those of founders do.
      { id: `f0${digest('tenure').slice(2)}` as TenureId, key: key(1), live: false },
    ],
    policy: { kOwner: 1, kReview: 1 },
    counts: {
      events: 7,
      proposals: 3,
      objects: 2,
      versions: 3,
      annotations: 1,
      files: 2,
      bytes: 1234,
    },
    stateRoot: cid('state'),
    eventsRoot: cid('events'),
    files: cid('files', 0x70),
  }

  test('is read back as it was made', () => {
    const { cid: root, bytes } = encodeSnapshot(snapshot, sha256)
    expect(root.bytes).toEqual(cidOfDigest(sha256(bytes)).bytes)
    expect(decodeSnapshot(bytes)).toEqual(snapshot)
  })

  test('has a fixed form, with links to the trees and to nothing else', () => {
    const { cid: root, bytes } = encodeSnapshot(snapshot, sha256)
    const wire: Record<string, unknown> = dagCbor.decode(bytes)
    expect(linksIn(wire).sort()).toEqual(
      [snapshot.stateRoot, snapshot.eventsRoot, snapshot.files].map(String).sort(),
    )
    expect(CID.asCID(wire['files'])?.toString()).toBe(snapshot.files.toString())
    expect(root.toString()).toMatchInlineSnapshot(
      `"bafyreihuwshl7igps44deqh6dl3jtqeluy5uvvnkgll6zmppguvdbcjzli"`,
    )
  })

  test('does not depend on the order of heads or on fields it does not have', () => {
    const { cid: root } = encodeSnapshot(snapshot, sha256)
    const counts = { ...snapshot.counts, pending: 9 }
    const heads = snapshot.heads.toReversed()
    expect(encodeSnapshot({ ...snapshot, heads, counts }, sha256).cid.toString()).toBe(
      root.toString(),
    )
  })

  test('stays bounded, however many heads and owners there are', () => {
    const heads = Array.from({ length: 5_000 }, (_, n) => event(n))
    const owners = Array.from({ length: 6_000 }, (_, n) => ({
      id: event(n) as string as TenureId,
      key: key(n),
      live: false,
    }))
    const { bytes } = encodeSnapshot({ ...snapshot, heads, owners }, sha256)
    const decoded = decodeSnapshot(bytes)
    expect(isRejection(decoded)).toBe(false)
    expect(decoded).toMatchObject({
      heads: heads.toSorted().slice(0, 1_024),
      owners: owners.slice(0, 4_096),
    })
  })

  test('names a checkpoint where there is one, and says nothing of it where there is none', () => {
    const checkpoint = event(7) as string as CheckpointId
    const plain = encodeSnapshot(snapshot, sha256).bytes
    const named = encodeSnapshot({ ...snapshot, checkpoint }, sha256).bytes
    expect(decodeSnapshot(named)).toMatchObject({ checkpoint })
    expect('checkpoint' in (decodeSnapshot(plain) as object)).toBe(false)
    const wire: object = dagCbor.decode(named)
    expect(Object.keys(dagCbor.decode<object>(plain))).not.toContain('checkpoint')
    for (const wrong of [null, new Uint8Array(36), new Uint8Array(32), 1]) {
      const block = dagCbor.encode({ ...wire, checkpoint: wrong })
      expect(decodeSnapshot(block)).toMatchObject({ refused: 'malformed' })
    }
  })

  test('is refused with anything more, less or else', () => {
    const wire: Record<string, unknown> = dagCbor.decode(encodeSnapshot(snapshot, sha256).bytes)
    const heads = wire['heads'] as Uint8Array[]
    const { v: _, ...withoutVersion } = wire
    for (const wrong of [
      withoutVersion,
      { ...wire, v: 2 },
      { ...wire, more: 1 },
      { ...wire, d: null },
      { ...wire, heads: heads.toReversed() },
      { ...wire, heads: [heads[0], heads[0]] },
      { ...wire, heads: [1] },
      { ...wire, owners: [{ key: new Uint8Array(31), tenure: 0, live: true }] },
      { ...wire, owners: [{ key: new Uint8Array(32), tenure: 64, live: true }] },
      { ...wire, owners: [{ key: new Uint8Array(32), tenure: 0, live: 1 }] },
      { ...wire, policy: { kOwner: 1 } },
      { ...wire, counts: { ...(wire['counts'] as object), bytes: -1 } },
      { ...wire, stateRoot: snapshot.files },
      { ...wire, eventsRoot: snapshot.eventsRoot.bytes },
      { ...wire, files: snapshot.stateRoot },
      [],
      null,
    ]) {
      expect(decodeSnapshot(dagCbor.encode(wrong))).toMatchObject({ refused: 'malformed' })
    }
    expect(decodeSnapshot(new Uint8Array(600 * 1024))).toMatchObject({ refused: 'too-large' })
  })

  test('never makes the decoder throw', () => {
    const { bytes } = encodeSnapshot(snapshot, sha256)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = bytes.slice()
        damaged[at] = (damaged[at] as number) ^ flip
        expect(decodeSnapshot(damaged)).toBeDefined()
      }),
    )
  })
})

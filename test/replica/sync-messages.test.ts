import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import { cidBytesOf } from '../../src/core/ids.ts'
import {
  decodeGossip,
  encodeGossip,
  gossipLimits,
  gossipOf,
  type GossipMessage,
} from '../../src/replica/gossip-messages.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  type Roots,
  type SyncRequest,
  type SyncResponse,
  syncLimits,
} from '../../src/replica/sync-messages.ts'
import { DATASET, makeEvent } from './sync-world.ts'

const roots: Roots = {
  owner: { root: new Uint8Array(32).fill(1), count: 100_000 },
  pool: { root: new Uint8Array(32), count: 0 },
}
const cid = cidBytesOf(DATASET)
const ids8 = ['0a'.repeat(8), 'ff'.repeat(8)]
const parts = [
  { prefix: '0f', hashes: new Uint8Array(128).fill(7) },
  { prefix: '', ids: ids8 },
]
const block = makeEvent(1).block

const requests: SyncRequest[] = [
  { k: 'hello', dataset: DATASET, roots },
  { k: 'hello', dataset: DATASET, roots, snapshot: cid },
  { k: 'log', dataset: DATASET, from: { depth: 0, id: '', skip: 0 }, bytesMax: 1_000 },
  { k: 'log', dataset: DATASET, from: { depth: 7, id: DATASET, skip: 3 }, bytesMax: 0 },
  { k: 'diff', dataset: DATASET, set: 'owner', width: 8, parts },
  { k: 'get', dataset: DATASET, set: 'pool', width: 32, ids: [DATASET] },
]
const responses: SyncResponse[] = [
  { k: 'no', code: 'unknown-dataset' },
  { k: 'hello', roots, snapshot: cid },
  { k: 'log', roots, events: [block], next: { depth: 3, id: DATASET, skip: 1 } },
  { k: 'log', roots, events: [] },
  {
    k: 'diff',
    roots,
    parts,
    events: [block],
    more: ids8,
    extra: true,
    cut: false,
    lowestDepth: 4,
  },
  { k: 'get', roots, events: [block, block], done: 2 },
]
const gossip: GossipMessage[] = [
  { k: 'event', block },
  { k: 'news', id: DATASET, sizeBytes: 20_000, kind: 'propose' },
  { k: 'have', roots, snapshot: cid, state: cid },
  { k: 'have', roots },
]

describe('sync messages', () => {
  it('come back as they were sent', () => {
    for (const request of requests) expect(decodeRequest(encodeRequest(request))).toEqual(request)
    for (const response of responses) {
      expect(decodeResponse(encodeResponse(response))).toEqual(response)
    }
    for (const message of gossip) expect(decodeGossip(encodeGossip(message))).toEqual(message)
  })

  it('say hello and have in less than 256 bytes', () => {
    expect(encodeRequest(requests[1] as SyncRequest).length).toBeLessThan(256)
    expect(encodeGossip(gossip[2] as GossipMessage).length).toBeLessThan(256)
  })

  it('announce small events whole and large ones by id', () => {
    const [small, large] = [makeEvent(1), makeEvent(2, { sizeBytes: gossipLimits.eventBytesMax })]
    expect(gossipOf({ ...small, kind: 'review' }).k).toBe('event')
    expect(gossipOf({ ...large, kind: 'propose' })).toMatchObject({ k: 'news', id: large.id })
  })

  it('are refused with an unknown, missing or wrong field', () => {
    const all = [
      ...requests.map((r) => [encodeRequest(r), decodeRequest] as const),
      ...responses.map((r) => [encodeResponse(r), decodeResponse] as const),
      ...gossip.map((m) => [encodeGossip(m), decodeGossip] as const),
    ]
    const optional = ['r', 'c', 'h', 't']
    for (const [bytes, decode] of all) {
      const map = dagCbor.decode<Record<string, unknown>>(bytes)
      expect(isRejection(decode(dagCbor.encode({ ...map, zz: 1 })))).toBe(true)
      for (const key of Object.keys(map)) {
        expect(isRejection(decode(dagCbor.encode({ ...map, [key]: -1 })))).toBe(true)
        const { [key]: _, ...rest } = map
        if (!optional.includes(key)) expect(isRejection(decode(dagCbor.encode(rest)))).toBe(true)
      }
    }
  })

  it('are refused and never thrown for, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        for (const decode of [decodeRequest, decodeResponse, decodeGossip]) {
          expect(isRejection(decode(bytes))).toBe(true)
        }
      }),
    )
    const nested = new Uint8Array(syncLimits.requestBytesMax).fill(0x81)
    expect(isRejection(decodeRequest(nested))).toBe(true)
    const tooLarge = new Uint8Array(syncLimits.responseBytesMax + 1)
    expect(decodeResponse(tooLarge)).toMatchObject({ refused: 'too-large' })
  })

  it('of mutated bytes are read strictly or refused', () => {
    const samples = requests.map(encodeRequest)
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.nat(), fc.nat(255), (bytes, at, byte) => {
        const changed = bytes.slice()
        changed[at % bytes.length] = byte
        const request = decodeRequest(changed)
        if (!isRejection(request)) expect(encodeRequest(request).length).toBe(bytes.length)
      }),
    )
  })
})

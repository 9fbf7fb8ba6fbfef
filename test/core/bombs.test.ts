// Small messages that promise to be large: work is bounded by what arrived, and refused with a reason.
import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent } from '../../src/core/event-codec.ts'
import { limits } from '../../src/core/limits.ts'
import { decodeSnapshot } from '../../src/core/snapshot.ts'
import { updateTrie } from '../../src/core/trie.ts'
import { sha256 } from '../makers.ts'
import { F, genesisBy, ownerEventBy } from '../replica/subject.ts'

const genesis = genesisBy(F)
const honest = ownerEventBy(F, genesis.id, { kind: 'remove', key: F.publicKey }, [genesis])
const wire = dagCbor.decode<Record<string, unknown>>(honest.block)
const hex = (text: string) => Buffer.from(text, 'hex')

/** The honest block with the value of one key replaced by raw bytes. */
function withRaw(key: string, raw: Uint8Array): Uint8Array {
  const sorted = dagCbor.encode({ ...wire, [key]: 'PLACE-HOLDER' })
  const place = Buffer.from(dagCbor.encode('PLACE-HOLDER'))
  const at = Buffer.from(sorted).indexOf(place)
  return Buffer.concat([sorted.subarray(0, at), raw, sorted.subarray(at + place.length)])
}

const parents = (count: number) => Array.from({ length: count }, () => new Uint8Array(36))
const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x81), hex('00')])

test.each<[string, Uint8Array, string]>([
  ['2^20 parents', dagCbor.encode({ ...wire, s: parents(2 ** 20) }), 'too-large'],
  ['2^20 parents announced, none sent', withRaw('s', hex('9a00100000')), 'not-canonical'],
  ['65 parents', dagCbor.encode({ ...wire, s: parents(65) }), 'limit-exceeded'],
  ['1 GiB of bytes announced in 1 KiB', withRaw('b', hex('5a40000000')), 'not-canonical'],
  ['a map of 2^32 entries announced', withRaw('b', hex('bb0000000100000000')), 'not-canonical'],
  ['lists 200,000 deep', withRaw('b', nested(200_000)), 'not-canonical'],
  ['lists 17 deep', withRaw('b', nested(17)), 'limit-exceeded'],
])('T47: %s', (_, block, reason) => {
  const began = process.cpuUsage()
  const event = decodeEvent(new Uint8Array(block), sha256)
  const { user } = process.cpuUsage(began)
  expect(isRejection(event) && event.refused).toBe(reason)
  expect(user).toBeLessThan(1_000_000)
})

test('T47: a snapshot is refused by its size before it is read', () => {
  const block = dagCbor.encode({ heads: new Uint8Array(600 * 1024) })
  expect(decodeSnapshot(block)).toMatchObject({ refused: 'too-large' })
})

test('T47: keys ground to share 60 hex digits make a path of that length, and no more work', async () => {
  const blocks = new Map<string, Uint8Array>()
  const store = {
    sha256,
    source: { get: async (cid: CID) => blocks.get(cid.toString()) },
    put: (cid: CID, bytes: Uint8Array) => void blocks.set(cid.toString(), bytes),
  }
  const ground = Array.from({ length: limits.trieLeafEntriesMax + 8 }, (_, i) => {
    return { key: 'a'.repeat(60) + i.toString(16).padStart(4, '0'), value: i }
  })
  const { root, count } = await updateTrie(undefined, ground, store)
  expect(count).toBe(ground.length)
  // A node for each shared digit, and the leaves below.
  expect(blocks.size).toBeLessThanOrEqual(64 + 16)
  const before = new Set(blocks.keys())
  await updateTrie(root, [{ key: 'b'.repeat(64), value: 1 }], store)
  expect([...blocks.keys()].filter((cid) => !before.has(cid)).length).toBeLessThanOrEqual(2)
})

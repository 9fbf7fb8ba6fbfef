// What the state tree holds for one object, from a peer that may have made it up.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { isRejection } from '../../../src/core/errors.ts'
import type { ObjectId } from '../../../src/core/ids.ts'
import {
  objectRecordOf,
  objectRowOfRecord,
  recordBlocksOf,
} from '../../../src/core/object-record.ts'
import { decodeCanonical } from '../../../src/core/trie-node.ts'
import { sha256 } from '../../../src/crypto.ts'
import { cborWords, cidBytes } from '../seeds.ts'
import { allowing, allowingLater, hold, holdRefusal, holdSame, type Target } from '../target.ts'

const id = 'ab'.repeat(32) as ObjectId
const at = new Uint8Array(80).fill(3)
const versionId = [cidBytes(), 0]
const content = CID.decode(cidBytes(0x55))
const file = { n: 'a.txt', m: 'text/plain', z: 5, c: content, j: '{}' }
const annotation = { of: [versionId], s: versionId, z: 2, i: new Uint8Array(2) }
const create = { id: versionId, at, op: 'create', value: file, st: 2 }
const update = { id: versionId, at, op: 'update', base: [versionId], value: annotation, st: 2 }
const end = { id: versionId, at, op: 'delete', base: [versionId], st: 2 }

const samples: readonly unknown[] = [
  { status: 'live', head: 0, versions: [create], claim: ['file', 'a.txt', at] },
  { status: 'live', head: 1, versions: [{ ...create, st: 1 }, update] },
  { status: 'deleted', head: 1, versions: [{ ...create, st: 1 }, end] },
  { status: 'waiting', head: null, versions: [{ ...update, st: 0 }] },
  { status: 'purged', head: 0, versions: [{ id: versionId, at, op: 'purge', st: 2 }] },
  { status: 'live', head: 0, versions: { links: [CID.decode(cidBytes(0x71))] } },
]
/** What the links of a record lead to. */
const chunk = dagCbor.encode([create])

export const target: Target = {
  seeds: () => samples.map((sample) => dagCbor.encode(sample)),
  words: [...cborWords, 'status', 'head', 'versions', 'claim', 'links', 'live', 'value', 'base'],
  isAsync: true,
  check: async (bytes) => {
    const decoded = decodeCanonical(bytes)
    if (isRejection(decoded)) return holdRefusal(decoded)
    const { value } = decoded
    const links = allowing(['BAD_BLOCK'], () => recordBlocksOf(value))
    hold((links?.length ?? 0) <= bytes.length, 'links')
    const source = { get: async (cid: CID) => (cid.code === 0x71 ? chunk : undefined) }
    const read = (record: unknown) =>
      allowingLater(['BAD_BLOCK', 'NOT_HERE'], () => objectRowOfRecord(id, record, source))
    const row = await read(value)
    if (row === undefined) return
    const blocks = new Map<string, Uint8Array>()
    const put = (cid: CID, block: Uint8Array) => void blocks.set(cid.toString(), block)
    const again = await objectRecordOf(row, { sha256, put })
    const back = await objectRowOfRecord(id, again, { get: async (c) => blocks.get(c.toString()) })
    holdSame(back, row, 'a record made of what was read')
  },
}

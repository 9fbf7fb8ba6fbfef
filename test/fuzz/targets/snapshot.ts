// The block that a root CID names.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { isRejection } from '../../../src/core/errors.ts'
import type { DatasetId, EventId, PublicKey, TenureId } from '../../../src/core/ids.ts'
import { decodeSnapshot, encodeSnapshot, HEADS_MAX } from '../../../src/core/snapshot.ts'
import { sha256 } from '../../../src/crypto.ts'
import { cborWords, cidBytes } from '../seeds.ts'
import { hold, holdRefusal, holdSameBytes, type Target } from '../target.ts'

const id = (byte: string) => byte.repeat(32)
const counts = { events: 3, proposals: 2, objects: 1, versions: 1, annotations: 0, files: 1 }
const sample = {
  dataset: id('07') as DatasetId,
  heads: [id('01'), id('02')] as EventId[],
  owners: [
    { id: 'f0' as TenureId, key: id('03') as PublicKey, live: true },
    { id: id('04') as string as TenureId, key: id('05') as PublicKey, live: false },
  ],
  policy: { kOwner: 2, kReview: 1 },
  counts: { ...counts, bytes: 5 },
  stateRoot: CID.decode(cidBytes(0x71, 1)),
  eventsRoot: CID.decode(cidBytes(0x71, 2)),
  files: CID.decode(cidBytes(0x70, 3)),
}

export const target: Target = {
  seeds: () => {
    const { bytes } = encodeSnapshot(sample, sha256)
    const named = dagCbor.decode<Record<string, unknown>>(bytes)
    const withCheckpoint = dagCbor.encode({ ...named, checkpoint: cidBytes() })
    return [bytes, encodeSnapshot({ ...sample, heads: [] }, sha256).bytes, withCheckpoint]
  },
  words: [...cborWords, 'heads', 'owners', 'policy', 'counts', 'stateRoot', 'checkpoint', 'live'],
  check: (bytes) => {
    const snapshot = decodeSnapshot(bytes)
    if (isRejection(snapshot)) return holdRefusal(snapshot)
    hold(snapshot.heads.length <= HEADS_MAX, 'heads')
    hold(snapshot.owners.length <= 4_096, 'owners')
    holdSameBytes(encodeSnapshot(snapshot, sha256).bytes, bytes, 'a snapshot encoded again')
  },
}

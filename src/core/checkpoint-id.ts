// What a checkpoint is named by: a block that says what its votes agree on, in which dataset.
import * as dagCbor from '@ipld/dag-cbor'
import { wireOfCheckpoint } from './body-codec.ts'
import type { CheckpointBody } from './event.ts'
import { type CheckpointId, cidBytesOf, type DatasetId, hexOf, type Sha256 } from './ids.ts'

const FORMAT_VERSION = 1

/** `{v, d, height, prev, heads, without, root}` as canonical dag-cbor. */
export function checkpointBlock(dataset: DatasetId, body: CheckpointBody): Uint8Array {
  return dagCbor.encode({ v: FORMAT_VERSION, d: cidBytesOf(dataset), ...wireOfCheckpoint(body) })
}

/** Hex of the sha2-256 of {@link checkpointBlock}: equal for votes that agree in everything. */
export function checkpointIdOf(
  dataset: DatasetId,
  body: CheckpointBody,
  sha256: Sha256,
): CheckpointId {
  return hexOf(sha256(checkpointBlock(dataset, body))) as CheckpointId
}

// What holds for every block that may be an event.
import * as dagCbor from '@ipld/dag-cbor'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import { isRejection, type Rejection } from '../../src/core/errors.ts'
import type { Event } from '../../src/core/event.ts'
import { decodeEvent, type Draft, formatEvent, signatureOf } from '../../src/core/event-codec.ts'
import { hexOf } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { passesPreCheck } from '../../src/core/signature.ts'
import { sha256 } from '../../src/crypto.ts'
import { hold, holdRefusal, holdSameBytes } from './target.ts'

/** Decodes a block and holds it to the format: a refusal with a reason, or an event that gives these bytes. */
export function checkEvent(block: Uint8Array): Event | Rejection {
  const event = decodeEvent(block, sha256)
  if (isRejection(event)) {
    holdRefusal(event)
    return event
  }
  hold(event.id === hexOf(sha256(block)), 'an event is named by its hash')
  const { key, message, signature } = signatureOf(event, sha256)
  passesPreCheck(key, signature)
  checkSizes(event)
  const draft = draftOf(event)
  if (draft !== undefined) {
    const again = formatEvent(draft, event.author, sha256)
    holdSameBytes(again.message, message, 'what is signed')
    holdSameBytes(again.seal(signature), block, 'an event encoded again')
  }
  if (event.family === 'owner' && event.body.kind === 'cp') {
    hold(checkpointIdOf(event.dataset, event.body.checkpoint, sha256).length === 64, 'checkpoint')
  }
  return event
}

function checkSizes(event: Event): void {
  hold(event.block.length <= limits.eventBytesMax, 'bytes')
  if (event.family === 'genesis') {
    const { founders, kOwner, kReview } = event
    hold(founders.length <= limits.foundersMax, 'founders')
    hold(1 <= kReview && kReview <= kOwner && kOwner <= founders.length, 'thresholds')
  }
  if (event.family === 'proposal') {
    hold(event.operations.length <= limits.operationsMax, 'operations')
  }
  if (event.family !== 'owner') return
  hold(event.parents.length <= limits.parentsMax, 'parents')
  if (event.body.kind === 'review') {
    hold(event.body.items.length <= limits.reviewItemsMax, 'items')
  }
  if (event.body.kind === 'cp') {
    hold(event.body.checkpoint.heads.length <= limits.parentsMax, 'heads')
    hold(event.body.checkpoint.without.length <= limits.withoutMax, 'without')
  }
}

/** What its author stated; undefined where this version does not read all of it. */
function draftOf(event: Event): Draft | undefined {
  const { claimedAtMs, labels } = event
  const common = { claimedAtMs, ...(labels && { labels }) }
  const named = 'name' in event && event.name !== undefined ? { name: event.name } : {}
  if (event.family === 'genesis') {
    const { founders, kOwner, kReview } = event
    const { b } = dagCbor.decode<{ b: { nonce: Uint8Array } }>(event.block)
    return { family: 'genesis', founders, kOwner, kReview, nonce: b.nonce, ...named, ...common }
  }
  const { dataset } = event
  if (event.family === 'proposal') {
    return { family: 'proposal', dataset, operations: event.operations, ...named, ...common }
  }
  const { body, tenure, depth, parents } = event
  if (body.kind === 'unknown') return undefined
  return { family: 'owner', dataset, tenure, depth, parents, body, ...common }
}

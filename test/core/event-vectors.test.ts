// T28 T30 T31: the events on disk are read, refused and reduced as they were when they were
// written. Made by scripts/make-fixtures.ts; a change here is a change of the format.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { bytesOfHex, cidOfEventId } from '../../src/core/ids.ts'
import { blockOfVector, check, type EventVectors, eventVectors } from '../fixtures/event-vectors.ts'
import { MemoryReplica } from '../reference/memory-replica.ts'

const url = new URL('../fixtures/events.json', import.meta.url)
const vectors = JSON.parse(readFileSync(url, 'utf8')) as EventVectors

test('the vectors on disk are the ones their maker makes', () => {
  expect(JSON.parse(JSON.stringify(eventVectors()))).toEqual(vectors)
})

test.for(vectors.accepted)('accepted: $comment', ({ block, kind, cid, author }) => {
  const event = check(bytesOfHex(block))
  if (typeof event === 'string') throw new Error(`refused: ${event}`)
  expect({ kind: event.kind, author: event.author }).toEqual({ kind, author })
  expect(cidOfEventId(event.id).toString()).toBe(cid)
})

/** Which scenario a refused block belongs to. */
const scenarioOf = ({ reason }: { reason: string }) =>
  reason === 'not-canonical' ? 'T28' : reason === 'bad-signature' ? 'T30 T31' : 'T47'

test.for(vectors.refused.map((vector) => ({ ...vector, scenario: scenarioOf(vector) })))(
  '$scenario refused: $comment',
  (vector) => expect(check(blockOfVector(vector))).toBe(vector.reason),
)

test('the small history has the state on disk', () => {
  const [genesis, ...events] = vectors.history.blocks.map((block) => {
    const event = check(bytesOfHex(block))
    if (typeof event === 'string') throw new Error(`refused: ${event}`)
    return event
  })
  if (genesis?.family !== 'genesis') throw new Error('the history starts with a genesis')
  const replica = new MemoryReplica(genesis)
  for (const event of events.toReversed()) replica.receive(event)
  expect(replica.state()).toEqual(vectors.history.state)
})

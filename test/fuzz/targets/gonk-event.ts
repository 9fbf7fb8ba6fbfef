// Events of a Gonk folder that is imported, one a line, and the history they come to.
import { parseEvent } from '../../../src/importers/gonk/events.ts'
import { readHistory } from '../../../src/importers/gonk/history.ts'
import { allowing, allowingLater, hold, type Target, textOf, utf8 } from '../target.ts'

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const common = (n: number) => ({
  uuid: uuid(n),
  timestamp: '2024-01-01 00:00:00.000000',
  integrity: 'ab'.repeat(32),
  author: 'ada',
})
const blob = { uuid: uuid(90), version: 0, size: 5, hash_type: 1, hash: 'cd'.repeat(32) }
const object = { ...blob, name: 'a.txt', format: 'text/plain' }
const schema = { ...blob, uuid: uuid(91), name: 'schema-a', format: 'application/schema+json' }
const target1 = { uuid: uuid(90), version: 0 }
const annotation = { ...blob, uuid: uuid(92), schema: { uuid: uuid(91), version: 0 } }

const events: readonly object[] = [
  { type: 'OwnerAddEvent', ...common(1), owner: 'ada', owner_action: 1 },
  { type: 'ObjectCreateEvent', ...common(2), action: 1, object },
  { type: 'ReviewAcceptEvent', ...common(3), event_uuid: uuid(2), decision: 1 },
  { type: 'ObjectCreateEvent', ...common(4), action: 1, object: schema },
  { type: 'ReviewAcceptEvent', ...common(5), event_uuid: uuid(4), decision: 1 },
  {
    type: 'AnnotationCreateEvent',
    ...common(6),
    action: 1,
    object_identifiers: [target1],
    annotation,
  },
  { type: 'ObjectUpdateEvent', ...common(7), action: 2, object: { ...object, version: 1 } },
  { type: 'ObjectDeleteEvent', ...common(8), action: 4, object_identifier: target1 },
  { type: 'ReviewRejectEvent', ...common(9), event_uuid: uuid(8), decision: 2 },
  { type: 'OwnerRemoveEvent', ...common(10), owner: 'ada', owner_action: 2 },
]
const lines = events.map((event) => JSON.stringify(event))

async function* inOrder<T>(events: readonly T[]): AsyncGenerator<T> {
  yield* events
}

export const target: Target = {
  seeds: () => [...lines, ...lines.map((_, i) => lines.slice(0, i + 1).join('\n'))].map(utf8),
  words: [...'0123456789'].map((n) => uuid(Number(n))).concat('"next":null', '"version":1'),
  bytesMax: 8_192,
  isAsync: true,
  check: async (bytes) => {
    const given = textOf(bytes).split('\n')
    const parsed = given.map((line) =>
      allowing(['BAD_EVENT', 'TOO_LARGE'], () => parseEvent(line, 'the event')),
    )
    const good = parsed.flatMap((one) => (one === undefined ? [] : [one.event]))
    const history = await allowingLater(['BAD_EVENT'], () => readHistory(inOrder(good)))
    if (history) hold(history.events === good.length, 'every event counts')
  },
}

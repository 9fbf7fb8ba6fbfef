// What peers answer in sync. The first byte says which width was asked for.
import { answerProblem, lackingTest } from '../../../src/core/reconcile.ts'
import type { EventId } from '../../../src/core/ids.ts'
import {
  decodeResponse,
  encodeResponse,
  syncLimits,
  type SyncResponse,
} from '../../../src/replica/sync-messages.ts'
import { checkMessage } from '../messages.ts'
import { cborWords, eventBlocks } from '../seeds.ts'
import { hold, type Target } from '../target.ts'

const root = { root: new Uint8Array(32).fill(9), count: 3 }
const roots = { owner: root, pool: { root: new Uint8Array(32), count: 0 } }
const id = 'ab'.repeat(32) as EventId

function samples(): (readonly [8 | 32, SyncResponse])[] {
  const events = eventBlocks().slice(0, 2)
  const head = { k: 'diff', roots, events, extra: true, cut: false } as const
  return [
    [8, { k: 'no', code: 'busy' }],
    [8, { k: 'hello', roots, snapshot: new Uint8Array(36).fill(1) }],
    [8, { k: 'log', roots, events }],
    [8, { k: 'log', roots, events: [], next: { depth: 3, id, skip: 2 } }],
    [8, { ...head, parts: [{ prefix: 'a', ids: [id.slice(0, 16)] }], more: [], lowestDepth: 7 }],
    [32, { ...head, parts: [{ prefix: 'a', ids: [id] }], more: [id] }],
    [32, { ...head, parts: [{ prefix: '', hashes: new Uint8Array(512) }], more: [] }],
    [8, { k: 'get', roots, events, done: 2 }],
  ]
}

export const target: Target = {
  seeds: () =>
    samples().map(([width, response]) => Uint8Array.of(width, ...encodeResponse(response, width))),
  words: [...cborWords, 'hello', 'log', 'diff', 'get', 'no', 'busy', 'bad-request'],
  check: (bytes) => {
    const width = bytes[0] === 32 ? 32 : 8
    const response = checkMessage(
      bytes.subarray(1),
      (wire) => decodeResponse(wire, width),
      (message) => encodeResponse(message, width),
    )
    if (response === undefined) return
    if ('events' in response) hold(response.events.length <= syncLimits.pageEventsMax, 'events')
    if (response.k !== 'diff') return
    answerProblem([], response.parts)
    const isLacking = lackingTest(response.parts, width)
    for (const short of response.more) hold(typeof isLacking(short) === 'boolean', 'lacking')
  },
}

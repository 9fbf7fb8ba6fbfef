// What peers ask in sync, and the answer that the questions about a set get.
import { answerParts, answerProblem, narrow, reconcileLimits } from '../../../src/core/reconcile.ts'
import {
  decodeRequest,
  encodeRequest,
  syncLimits,
  type SyncRequest,
} from '../../../src/replica/sync-messages.ts'
import type { DatasetId, EventId } from '../../../src/core/ids.ts'
import { MemorySet } from '../../replica/sync-world.ts'
import { checkMessage } from '../messages.ts'
import { cborWords } from '../seeds.ts'
import { hold, type Target } from '../target.ts'

const dataset = '07'.repeat(32) as DatasetId
const idOf = (n: number) => (n.toString(16).padStart(4, '0') + '5a'.repeat(30)) as EventId

/** Deep enough that prefixes of several digits lead somewhere. */
const mine = new MemorySet()
for (let n = 0; n < 300; n++) mine.add(idOf(n * 7))

const root = { root: new Uint8Array(32).fill(9), count: 3 }
const roots = { owner: root, pool: { root: new Uint8Array(32), count: 0 } }
const hashes = (width: number) => new Uint8Array(16 * width).fill(1)

const samples: readonly SyncRequest[] = [
  { k: 'hello', dataset, roots },
  { k: 'hello', dataset, roots, snapshot: new Uint8Array(36).fill(1) },
  { k: 'log', dataset, from: { depth: 0, id: '', skip: 0 }, bytesMax: syncLimits.pageBytesMax },
  { k: 'log', dataset, from: { depth: 9, id: idOf(7), skip: 3 }, bytesMax: 1 },
  { k: 'diff', dataset, set: 'owner', width: 8, parts: [{ prefix: '', hashes: hashes(8) }] },
  { k: 'diff', dataset, set: 'pool', width: 32, parts: [{ prefix: '0', hashes: hashes(32) }] },
  {
    k: 'diff',
    dataset,
    set: 'pool',
    width: 8,
    parts: [
      { prefix: '00', ids: [idOf(7).slice(0, 16), idOf(14).slice(0, 16)] },
      { prefix: 'ff', ids: [] },
    ],
  },
  { k: 'get', dataset, set: 'owner', width: 8, ids: [idOf(7).slice(0, 16)] },
  { k: 'get', dataset, set: 'pool', width: 32, ids: [idOf(7), idOf(9)] },
]

export const target: Target = {
  seeds: () => samples.map(encodeRequest),
  words: [...cborWords, 'hello', 'log', 'diff', 'get', 'owner', 'pool'],
  isAsync: true,
  check: async (bytes) => {
    const request = checkMessage(bytes, decodeRequest, encodeRequest)
    if (request?.k !== 'diff') return
    const { parts, width } = request
    const { idsPerPartMax, lackingMax, hashPartsMax, partsMax } = reconcileLimits
    const answer = await answerParts(mine, parts, width)
    hold(answer.parts.length <= parts.length * 16, 'parts answered')
    hold(answer.lacking.length <= lackingMax, 'ids answered')
    // What peers answer has the same form; a hostile one answers anything.
    if (answerProblem(parts, parts) !== undefined) hold(parts.length > 0, 'nothing asked')
    const next = await narrow(mine, parts, width)
    hold(next.ask.length <= Math.min(partsMax, parts.length * 16), 'parts asked')
    hold(next.ask.filter((part) => 'hashes' in part).length <= hashPartsMax, 'hashes asked')
    hold(next.want.length <= parts.length * idsPerPartMax, 'ids wanted')
  },
}

// Answers that were given to requests with an idempotency key: asked again, a request gets the same
// answer and does nothing, also after a restart.
import * as dagCbor from '@ipld/dag-cbor'
import { GonkError } from '../../core/errors.ts'
import { hexOf, type PublicKey } from '../../core/ids.ts'
import { sha256 } from '../../crypto.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import { Mutex } from '../../replica/mutex.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Clock } from '../../ports.ts'

/** Kept for each dataset: the newest, for a week. */
const ANSWERS_MAX = 500
const ANSWERS_BYTES_MAX = 32 << 20
const LIFETIME_MS = 7 * 24 * 60 * 60_000
const INDEX = 'answers'

/** The row of all answers, oldest first. */
interface Listed {
  readonly id: string
  readonly atMs: number
  readonly bytes: number
}

interface Stored<T> {
  readonly request: string
  readonly answer: T
}

interface UnderWay {
  readonly request: string
  readonly answer: Promise<unknown>
}

interface Memory {
  readonly underWay: Map<string, UnderWay>
  readonly mutex: Mutex
}

const memories = new WeakMap<Replica, Memory>()

export interface Asked {
  readonly publicKey: PublicKey
  readonly key: string
  /** JSON. */
  readonly request: unknown
}

/**
 * What was answered when this key came first, else what `answer` gives, which is on disk before it is
 * given back. One call at a time for each key: others wait for it, and do without it when it is
 * cancelled. A failure is not remembered.
 * Throws EXISTS when the key stands for another request.
 * @param answer JSON without undefined.
 */
export async function answerOnce<T>(
  needs: { readonly clock: Clock },
  replica: Replica,
  asked: Asked,
  answer: () => Promise<T>,
): Promise<T> {
  const { clock } = needs
  const { publicKey, key, request } = asked
  const id = digestOf([publicKey, key])
  const digest = digestOf(request)
  const memory = memories.get(replica) ?? { underWay: new Map(), mutex: new Mutex() }
  memories.set(replica, memory)
  const before = memory.underWay.get(id)
  if (before !== undefined) {
    requireSame(before.request, digest)
    return (before.answer as Promise<T>).catch((error: unknown) => {
      // Whoever came first has hung up: that says nothing of who asks now.
      if (!(error instanceof GonkError) || error.code !== 'CANCELLED') throw error
      return answerOnce(needs, replica, asked, answer)
    })
  }
  const given = (async () => {
    const stored = await storedAnswer<T>(replica.log, id, clock.nowMs())
    if (stored !== undefined) {
      requireSame(stored.request, digest)
      return stored.answer
    }
    const fresh = await answer()
    await memory.mutex.run(() => store(replica.log, id, { request: digest, answer: fresh }, clock))
    return fresh
  })()
  memory.underWay.set(id, { request: digest, answer: given })
  try {
    return await given
  } finally {
    memory.underWay.delete(id)
  }
}

function requireSame(known: string, digest: string): void {
  if (known === digest) return
  throw new GonkError('EXISTS', 'this idempotency key was used for another request', {
    hint: 'choose a new key for each request',
  })
}

/** Of JSON, whatever the order of its keys. */
function digestOf(value: unknown): string {
  return hexOf(sha256(dagCbor.encode(JSON.parse(JSON.stringify(value)))))
}

const rowOf = (id: string) => `${INDEX}/${id}`

async function storedAnswer<T>(
  log: DatasetLog,
  id: string,
  nowMs: number,
): Promise<Stored<T> | undefined> {
  const list = (await log.meta<Listed[]>(INDEX)) ?? []
  const listed = list.find((one) => one.id === id)
  if (listed === undefined || listed.atMs + LIFETIME_MS <= nowMs) return undefined
  return log.meta<Stored<T>>(rowOf(id))
}

/** In one batch with the removal of what is too old or too much. */
async function store(
  log: DatasetLog,
  id: string,
  stored: Stored<unknown>,
  clock: Clock,
): Promise<void> {
  const atMs = clock.nowMs()
  const before = (await log.meta<Listed[]>(INDEX)) ?? []
  const list = before.filter((one) => one.id !== id)
  list.push({ id, atMs, bytes: dagCbor.encode(stored).length })
  let bytes = list.reduce((sum, one) => sum + one.bytes, 0)
  const gone: Listed[] = []
  for (const one of list.slice(0, -1)) {
    const isOld = one.atMs + LIFETIME_MS <= atMs
    const isTooMuch = list.length - gone.length > ANSWERS_MAX || bytes > ANSWERS_BYTES_MAX
    if (!isOld && !isTooMuch) break
    gone.push(one)
    bytes -= one.bytes
  }
  const writes = [
    ...gone.map((one) => log.deleteMeta(rowOf(one.id))),
    log.putMeta(rowOf(id), stored),
    log.putMeta(INDEX, list.slice(gone.length)),
  ]
  await log.commit(writes, { durable: true })
}

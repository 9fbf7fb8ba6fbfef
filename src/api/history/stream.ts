// Short notices of what changes on this node: the newest of them stay in memory, for readers that come
// back.
import type { Event } from '../../core/event.ts'
import { type DatasetId, type EventId, textOfEventId } from '../../core/ids.ts'
import type { AbortOptions, Clock, PeerId } from '../../ports.ts'
import type { Replicas } from '../context.ts'
import { Waker } from './waker.ts'
import type { Notice } from '../../contract/api.ts'

const REMEMBERED = 10_000
/** In one notice; more make several. */
const IDS_MAX = 50

type Kind = Notice['kind']

/** As it happened: few are read by anybody, so texts are made for whoever reads. */
interface Remembered {
  readonly seq: number
  readonly kind: Kind
  readonly dataset: DatasetId | undefined
  /** Of events in hex, or of peers. */
  readonly ids: readonly string[]
}

export interface StreamRequest {
  /** `seq` of the last notice that is known. @default from now on */
  readonly since?: number
  /** @default all */
  readonly datasets?: readonly DatasetId[]
}

/** Notices of one run of a node. Their numbers go on from run to run: they begin at the time in ms. */
export class Notices {
  readonly #first: number
  readonly #remembered: number
  readonly #ring: Remembered[] = []
  #next: number
  readonly #readers = new Set<Waker<true>>()

  constructor(
    { replicas, clock }: { replicas: Pick<Replicas, 'onStored'>; clock: Pick<Clock, 'nowMs'> },
    { remembered = REMEMBERED }: { remembered?: number } = {},
  ) {
    this.#remembered = remembered
    this.#first = this.#next = clock.nowMs()
    replicas.onStored(({ id }, events) => this.#stored(id, events))
  }

  /** A peer came or went, or joined a dataset. */
  peer(peer: PeerId, dataset?: DatasetId): void {
    this.#add('peer', dataset, [peer])
  }

  /**
   * What comes after `since`, or from this call on. One `reset` says that what came after `since` is
   * not remembered: ask for everything anew. Ends when `signal` fires.
   */
  follow({ since, datasets }: StreamRequest = {}, options: AbortOptions = {}) {
    return this.#read(since ?? this.#next - 1, datasets && new Set(datasets), options)
  }

  async *#read(
    since: number,
    datasets: ReadonlySet<DatasetId> | undefined,
    { signal }: AbortOptions,
  ): AsyncGenerator<Notice> {
    const waker = new Waker<true>()
    this.#readers.add(waker)
    let last = since
    try {
      while (signal?.aborted !== true) {
        const oldest = Math.max(this.#first, this.#next - this.#remembered)
        if (last < oldest - 1 || last >= this.#next) {
          last = this.#next - 1
          yield { seq: last, dataset: '', kind: 'reset', ids: [] }
        }
        const one = last + 1 < this.#next ? this.#ring[this.#placeOf(last + 1)] : undefined
        if (one === undefined) {
          await waker.next(signal)
          continue
        }
        last = one.seq
        const { dataset } = one
        if (!datasets || dataset === undefined || datasets.has(dataset)) yield noticeOf(one)
      }
    } finally {
      this.#readers.delete(waker)
    }
  }

  #placeOf(seq: number): number {
    return (seq - this.#first) % this.#remembered
  }

  #add(kind: Kind, dataset: DatasetId | undefined, ids: readonly string[]): void {
    for (let i = 0; i === 0 || i < ids.length; i += IDS_MAX) {
      const seq = this.#next++
      this.#ring[this.#placeOf(seq)] = { seq, dataset, kind, ids: ids.slice(i, i + IDS_MAX) }
    }
    for (const reader of this.#readers) reader.wake(true)
  }

  /** Proposals that nobody decided are not under the root; whatever owners sign is. */
  #stored(dataset: DatasetId, events: readonly Event[]): void {
    const ids = new Map<Kind, Set<string>>()
    for (const event of events) {
      const [kind, about] = subjectOf(event)
      const known = ids.get(kind) ?? new Set()
      for (const id of about) known.add(id)
      ids.set(kind, known)
    }
    for (const [kind, some] of ids) this.#add(kind, dataset, [...some])
    if (events.some(({ family }) => family !== 'proposal')) this.#add('root', dataset, [])
  }
}

function noticeOf({ seq, kind, dataset, ids }: Remembered): Notice {
  return {
    seq,
    dataset: dataset === undefined ? '' : textOfEventId(dataset),
    kind,
    ids: kind === 'peer' ? ids : ids.map((id) => textOfEventId(id as EventId)),
  }
}

/** What a notice of an event names: the event, or of a review the proposals it decides. */
function subjectOf(event: Event): [Kind, readonly Event['id'][]] {
  if (event.family === 'proposal') return ['proposal', [event.id]]
  const body = event.family === 'owner' ? event.body : undefined
  if (body?.kind === 'review') return ['decision', body.items.map(({ proposal }) => proposal)]
  if (body?.kind === 'cp') return ['checkpoint', [event.id]]
  return [body?.kind === 'release' ? 'release' : 'owner', [event.id]]
}

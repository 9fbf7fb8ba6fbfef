// Questions to one peer, their answers checked for form, and what they cost. Knows nothing of sets.
import { GonkError, isRejection } from '../core/errors.ts'
import { type DatasetId, type EventId, eventIdOfBlock, type Sha256 } from '../core/ids.ts'
import type { Width } from '../core/reconcile.ts'
import {
  decodeResponse,
  encodeRequest,
  type RefusalCode,
  type Roots,
  type SyncRequest,
  type SyncResponse,
  syncLimits,
} from './sync-messages.ts'

/** One request to one peer. Throws PEER_FAILED, TIMEOUT. */
export type Ask = (body: Uint8Array) => Promise<Uint8Array>

/** What a session cost on the wire, without framing. */
export interface Traffic {
  readonly roundTrips: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** What a peer did that an honest one does not. */
export type PeerFault =
  | 'malformed'
  | 'unasked'
  | 'invalid-event'
  | 'absent-events'
  | 'incomplete-history'
  | 'inconsistent-hashes'
  | 'no-progress'

/** Requests in a row that bring nothing new. A walk is at most a few dozen. */
const IDLE_REQUESTS_MAX = 256

export class FaultError extends Error {
  readonly fault: PeerFault
  constructor(fault: PeerFault, what: string) {
    super(what)
    this.fault = fault
  }
}

export class RefusedError extends Error {
  readonly code: RefusalCode
  constructor(code: RefusalCode) {
    super(`the peer answers: ${code}`)
    this.code = code
  }
}

/** Counts what goes through `ask`. */
export function metered(ask: Ask): { readonly ask: Ask; readonly traffic: Traffic } {
  const traffic = { roundTrips: 0, sentBytes: 0, receivedBytes: 0 }
  return {
    traffic,
    ask: async (body) => {
      traffic.roundTrips++
      traffic.sentBytes += body.length
      const answer = await ask(body)
      traffic.receivedBytes += answer.length
      return answer
    },
  }
}

/** A failed request, told apart from failures of our own store. */
export class RequestError extends Error {}

type WithoutDataset<T> = T extends unknown ? Omit<T, 'dataset'> : never
type RequestBody = WithoutDataset<SyncRequest>

export function fault(code: PeerFault, what: string): never {
  throw new FaultError(code, what)
}

/** One session's requests to one peer. */
export class SyncClient {
  readonly traffic: Traffic
  /** As the peer told them in its last answer. */
  theirs: Roots | undefined
  readonly #dataset: DatasetId
  readonly #ask: Ask
  readonly #signal: AbortSignal | undefined
  #idleRequests = 0

  constructor(
    needs: { readonly dataset: DatasetId; readonly ask: Ask },
    options: { readonly signal?: AbortSignal },
  ) {
    const { ask, traffic } = metered(needs.ask)
    this.#dataset = needs.dataset
    this.#ask = ask
    this.traffic = traffic
    this.#signal = options.signal
  }

  /** @throws FaultError, RefusedError, RequestError; what aborted the signal */
  async request<K extends SyncResponse['k']>(
    request: RequestBody,
    k: K,
    width: Width = 8,
  ): Promise<Extract<SyncResponse, { k: K }>> {
    this.#signal?.throwIfAborted()
    if (++this.#idleRequests > IDLE_REQUESTS_MAX) fault('no-progress', 'answers bring nothing new')
    const body = encodeRequest({ dataset: this.#dataset, ...request })
    const bytes = await this.#ask(body).catch((error: Error) => {
      throw new RequestError(error.message, { cause: error })
    })
    this.#signal?.throwIfAborted()
    const response = decodeResponse(bytes, width)
    if (isRejection(response)) fault('malformed', response.what)
    if (response.k === 'no') throw new RefusedError(response.code)
    if (response.k !== k) fault('malformed', `${response.k} in answer to ${k}`)
    this.theirs = response.roots
    return response as Extract<SyncResponse, { k: K }>
  }

  /** Something was stored, so the peer may be asked more. */
  progressed(): void {
    this.#idleRequests = 0
  }

  /** Those of the last answer; there has been one. */
  roots(): Roots {
    if (this.theirs === undefined) throw new GonkError('INTERNAL', 'no hello yet')
    return this.theirs
  }
}

/** Asks for whole events by id. @returns those the peer sent, each one that was asked for. */
export async function fetchEvents(
  needs: { readonly dataset: DatasetId; readonly sha256: Sha256; readonly ask: Ask },
  ids: readonly EventId[],
): Promise<Uint8Array[]> {
  const { dataset, sha256 } = needs
  const asked = ids.slice(0, syncLimits.getIdsMax)
  const bytes = await needs.ask(
    encodeRequest({ k: 'get', dataset, set: 'owner', width: 32, ids: asked }),
  )
  const answer = decodeResponse(bytes)
  if (isRejection(answer) || answer.k !== 'get') {
    throw new GonkError('PEER_FAILED', 'the peer did not answer a request for events')
  }
  const wanted = new Set<string>(asked)
  return answer.events.filter((block) => wanted.has(eventIdOfBlock(block, sha256)))
}

// /gonk/sync/1: a request and its answer, each with a length of 4 bytes in front, one after another on
// a stream that is kept for the next. What is inside is the replica's business.
import type { Connection, Stream } from '@libp2p/interface'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions, NetworkHandlers, PeerId } from '../ports.ts'
import type { PeerConduct } from './conduct.ts'
import { startDeadline } from './deadline.ts'
import { peerError, ProtocolFault } from './failures.ts'
import {
  closeStream,
  readUint32,
  StreamEndedError,
  StreamReader,
  StreamTimeoutError,
  withLength,
  writeBytes,
} from './streams.ts'
import { SYNC_PROTOCOL } from './versions.ts'
import { pause } from './wakeup.ts'

export interface RpcLimits {
  readonly requestBytesMax: number
  readonly responseBytesMax: number
  /** From the first byte of a request to its last, and from asking to the whole answer. */
  readonly requestTimeoutMs: number
  /** How long a server keeps a stream without a request. A client gives up idle streams earlier. */
  readonly idleTimeoutMs: number
  /** Streams a client opens to one peer; further requests wait. A server allows twice as many. */
  readonly streamsMax: number
}

export const rpcLimits: RpcLimits = {
  requestBytesMax: 1024 * 1024,
  responseBytesMax: 2 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  streamsMax: 8,
}

const READ_BUFFER_BYTES = 256 * 1024

// ---------------------------------------------------------------- server

export interface RpcServerNeeds {
  readonly handlers: Pick<NetworkHandlers, 'request'>
  readonly conduct: PeerConduct
  readonly stopped: AbortSignal
}

/** Answers the requests of one stream until the client ends it or falls silent. */
export async function serveRequests(
  stream: Stream,
  peer: PeerId,
  { handlers, conduct, stopped }: RpcServerNeeds,
  limits: RpcLimits,
): Promise<void> {
  const reader = new StreamReader(stream, READ_BUFFER_BYTES)
  const gone = new AbortController()
  const onClose = (): void => gone.abort(new StreamEndedError('the peer is gone'))
  stream.addEventListener('close', onClose)
  const signal = AbortSignal.any([stopped, gone.signal])
  try {
    for (;;) {
      const head = await readHead(reader, limits.idleTimeoutMs, signal)
      if (head === undefined) break
      const length = readUint32(head)
      if (length > limits.requestBytesMax) {
        throw new ProtocolFault('TOO_LARGE', `a request of ${length} bytes`)
      }
      await pause(conduct.requestDelayMs(peer, length), signal)
      const body = await reader.read(length, limits.requestTimeoutMs, signal)
      const answer = await handlers.request(peer, body, signal)
      if (answer.length > limits.responseBytesMax) {
        throw new GonkError('INTERNAL', `an answer of ${answer.length} bytes`)
      }
      await writeBytes(stream, withLength(answer), limits.requestTimeoutMs, signal)
    }
    await stream.close({ signal: AbortSignal.timeout(limits.requestTimeoutMs) })
  } finally {
    stream.removeEventListener('close', onClose)
    reader.release()
  }
}

/** The length of the next request; undefined when the client has ended, or asks nothing more. */
async function readHead(
  reader: StreamReader,
  idleTimeoutMs: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await reader.readOrEnd(4, idleTimeoutMs, signal)
  } catch (error) {
    if (error instanceof StreamTimeoutError && reader.available === 0) return undefined
    throw error
  }
}

// ---------------------------------------------------------------- client

interface OpenStream {
  readonly stream: Stream
  readonly reader: StreamReader
  idleTimer?: NodeJS.Timeout
}

interface PeerStreams {
  busy: number
  readonly idle: OpenStream[]
  readonly waiting: (() => void)[]
}

export interface RpcClientNeeds {
  /** An open connection. @throws PEER_FAILED */
  readonly connectionTo: (peer: PeerId) => Connection
  readonly conduct: PeerConduct
}

/** Asks peers, over a few streams to each that are used again and again. */
export class RpcClient {
  readonly #needs: RpcClientNeeds
  readonly #limits: RpcLimits
  readonly #peers = new Map<PeerId, PeerStreams>()

  constructor(needs: RpcClientNeeds, limits: RpcLimits) {
    this.#needs = needs
    this.#limits = limits
  }

  /** @throws PEER_FAILED, TIMEOUT, CANCELLED; TOO_LARGE when `body` exceeds what a peer accepts */
  async request(peer: PeerId, body: Uint8Array, options: AbortOptions = {}): Promise<Uint8Array> {
    const { requestBytesMax, requestTimeoutMs } = this.#limits
    if (body.length > requestBytesMax) {
      throw new GonkError('TOO_LARGE', `a request of ${body.length} bytes`)
    }
    const { signal } = options
    const deadline = startDeadline(requestTimeoutMs, signal)
    try {
      const streams = await this.#turn(peer, deadline.signal)
      try {
        return await this.#ask(peer, streams, body, deadline.signal)
      } finally {
        this.#done(peer, streams)
      }
    } catch (error) {
      if (error instanceof ProtocolFault) {
        this.#needs.conduct.fault(peer, error.code, error.message, error.weight)
      }
      if (deadline.expired) {
        throw new GonkError('TIMEOUT', `peer ${peer} gave no answer in ${requestTimeoutMs} ms`, {
          cause: error,
          details: { peer },
        })
      }
      throw peerError(error, peer, signal)
    } finally {
      deadline.clear()
    }
  }

  /** Forgets the streams to a peer that is gone. */
  forget(peer: PeerId): void {
    const streams = this.#peers.get(peer)
    if (streams === undefined) return
    for (const open of streams.idle.splice(0)) this.#drop(open)
  }

  close(): void {
    for (const peer of [...this.#peers.keys()]) this.forget(peer)
  }

  async #turn(peer: PeerId, signal: AbortSignal): Promise<PeerStreams> {
    signal.throwIfAborted()
    let streams = this.#peers.get(peer)
    if (streams === undefined) {
      streams = { busy: 0, idle: [], waiting: [] }
      this.#peers.set(peer, streams)
    }
    if (streams.busy < this.#limits.streamsMax) {
      streams.busy++
      return streams
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { waiting } = streams
    waiting.push(resolve)
    const onAbort = (): void => {
      const index = waiting.indexOf(resolve)
      if (index < 0) return
      waiting.splice(index, 1)
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    return streams
  }

  /** Hands the turn on to whoever waits longest. */
  #done(peer: PeerId, streams: PeerStreams): void {
    const next = streams.waiting.shift()
    if (next !== undefined) return next()
    streams.busy--
    if (streams.busy === 0 && streams.idle.length === 0) this.#peers.delete(peer)
  }

  async #ask(
    peer: PeerId,
    streams: PeerStreams,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const kept = this.#reuse(streams)
    if (kept !== undefined) {
      const answer = await this.#exchange(peer, streams, kept, body, signal)
      if (answer !== undefined) return answer
      // A server ends a stream only between requests, so it has not taken this one.
    }
    const fresh = await this.#open(peer, signal)
    const answer = await this.#exchange(peer, streams, fresh, body, signal)
    if (answer === undefined) throw new StreamEndedError('the peer ended the stream')
    return answer
  }

  /** @returns undefined when the peer ended the stream before a byte of an answer */
  async #exchange(
    peer: PeerId,
    streams: PeerStreams,
    open: OpenStream,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    try {
      const { requestTimeoutMs, responseBytesMax } = this.#limits
      await writeBytes(open.stream, withLength(body), requestTimeoutMs, signal)
      const head = await open.reader.readOrEnd(4, requestTimeoutMs, signal)
      if (head === undefined) {
        this.#drop(open)
        return undefined
      }
      const length = readUint32(head)
      if (length > responseBytesMax) {
        throw new ProtocolFault('TOO_LARGE', `an answer of ${length} bytes`)
      }
      const answer = await open.reader.read(length, requestTimeoutMs, signal)
      this.#keep(peer, streams, open)
      return answer
    } catch (error) {
      this.#drop(open, error)
      throw error
    }
  }

  async #open(peer: PeerId, signal: AbortSignal): Promise<OpenStream> {
    const connection = this.#needs.connectionTo(peer)
    const stream = await connection.newStream(SYNC_PROTOCOL, { signal })
    return { stream, reader: new StreamReader(stream, READ_BUFFER_BYTES) }
  }

  #reuse(streams: PeerStreams): OpenStream | undefined {
    for (;;) {
      const open = streams.idle.pop()
      if (open === undefined) return undefined
      clearTimeout(open.idleTimer)
      const { status, remoteWriteStatus } = open.stream
      // Bytes that nobody asked for would be taken for the next answer.
      const clean = open.reader.available === 0 && open.stream.readBufferLength === 0
      if (status === 'open' && remoteWriteStatus === 'writable' && clean) return open
      this.#drop(open)
    }
  }

  #keep(peer: PeerId, streams: PeerStreams, open: OpenStream): void {
    const timer = setTimeout(() => {
      const index = streams.idle.indexOf(open)
      if (index >= 0) streams.idle.splice(index, 1)
      if (streams.busy === 0 && streams.idle.length === 0) this.#peers.delete(peer)
      this.#drop(open)
    }, this.#limits.idleTimeoutMs / 3)
    timer.unref()
    open.idleTimer = timer
    streams.idle.push(open)
  }

  #drop({ stream, reader, idleTimer }: OpenStream, error?: unknown): void {
    clearTimeout(idleTimer)
    reader.release()
    if (error === undefined) closeStream(stream)
    else stream.abort(error instanceof Error ? error : new Error(String(error)))
  }
}

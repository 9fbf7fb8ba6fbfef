// The answering side of /gonk/blocks/1: looks a few blocks ahead of what it sends, so that the disk
// and the network work at the same time, and gathers small blocks into one write.
import type { Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { CID_BYTES, type DatasetId, eventIdOfCidBytes } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { NetworkHandlers, PeerId } from '../ports.ts'
import {
  BATCH_COUNT_MAX,
  COUNT_BYTES,
  END,
  HEAD_BYTES,
  MISSING,
  readWireCid,
} from './block-wire.ts'
import type { PeerConduct } from './conduct.ts'
import { ProtocolFault } from './failures.ts'
import { StreamReader, writeBytes } from './streams.ts'
import { pause, turn, Wakeup } from './wakeup.ts'

export interface BlockServerNeeds {
  readonly handlers: Pick<NetworkHandlers, 'block'>
  readonly conduct: PeerConduct
  readonly stopped: AbortSignal
}

export interface BlockServerLimits {
  /** How long a stream is kept while the client asks nothing. */
  readonly idleTimeoutMs: number
  /** How long a client may take no bytes. */
  readonly stallTimeoutMs: number
}

export const blockServerLimits: BlockServerLimits = {
  idleTimeoutMs: 120_000,
  stallTimeoutMs: 120_000,
}

/** Blocks looked up before they can be sent: at most 16 MiB of them. */
const AHEAD_COUNT = 8
/** CIDs read from the client before they are looked up; more wait in its own buffers. */
const ASKED_COUNT = 1024
const READ_BUFFER_BYTES = 64 * 1024
/** Small blocks are copied together up to this size; larger ones are sent as they are. */
const GATHER_BYTES = 128 * 1024
const COPY_BYTES_MAX = 64 * 1024

interface Lookup {
  settled: boolean
  readonly bytes: Promise<Uint8Array | undefined>
}

/** Answers one stream to its end. @throws ProtocolFault, and what broke the stream */
export async function serveBlocks(
  stream: Stream,
  peer: PeerId,
  needs: BlockServerNeeds,
  serverLimits: BlockServerLimits,
): Promise<void> {
  const reader = new StreamReader(stream, READ_BUFFER_BYTES)
  const gone = new AbortController()
  const onClose = (): void => gone.abort(new Error('the peer is gone'))
  stream.addEventListener('close', onClose)
  const signal = AbortSignal.any([needs.stopped, gone.signal])
  const questions = new Questions(reader, serverLimits.idleTimeoutMs, signal)
  try {
    const dataset = await questions.readDataset()
    void questions.readAll()
    const out = new Outbox(stream, serverLimits.stallTimeoutMs, signal)
    const lookUp = (cid: CID): Promise<Uint8Array | undefined> =>
      needs.handlers.block(peer, dataset, cid)
    await answerAll(questions, lookUp, out, () =>
      pause(needs.conduct.requestDelayMs(peer, 0), signal),
    )
    await stream.close({ signal: AbortSignal.timeout(serverLimits.stallTimeoutMs) })
  } finally {
    stream.removeEventListener('close', onClose)
    gone.abort(new Error('done'))
    reader.release()
  }
}

async function answerAll(
  questions: Questions,
  lookUp: (cid: CID) => Promise<Uint8Array | undefined>,
  out: Outbox,
  /** Asking for what is not here costs the server a look-up and the client nothing, so it has a rate. */
  afterMissing: () => Promise<void>,
): Promise<void> {
  const ahead: Lookup[] = []
  for (;;) {
    while (ahead.length < AHEAD_COUNT) {
      const cid = questions.take()
      if (cid === undefined) break
      ahead.push(startLookup(lookUp(cid)))
    }
    const first = ahead.shift()
    if (first === undefined) {
      await out.flush()
      if (!(await questions.more())) break
      continue
    }
    if (!first.settled) await Promise.race([first.bytes, turn()])
    if (!first.settled) await out.flush()
    const bytes = await first.bytes
    if (bytes !== undefined && bytes.length <= limits.blockBytesMax) await out.block(bytes)
    else {
      await out.number(MISSING)
      await afterMissing()
    }
  }
  await out.number(END)
  await out.flush()
}

function startLookup(bytes: Promise<Uint8Array | undefined>): Lookup {
  const lookup: Lookup = { settled: false, bytes }
  const settle = (): void => {
    lookup.settled = true
  }
  bytes.then(settle, settle)
  return lookup
}

/** What the client asks, read ahead of the answers up to a limit. */
class Questions {
  readonly #reader: StreamReader
  readonly #idleTimeoutMs: number
  readonly #signal: AbortSignal
  readonly #asked: CID[] = []
  readonly #arrived = new Wakeup()
  readonly #taken = new Wakeup()
  #ended = false
  #failure: unknown

  constructor(reader: StreamReader, idleTimeoutMs: number, signal: AbortSignal) {
    this.#reader = reader
    this.#idleTimeoutMs = idleTimeoutMs
    this.#signal = signal
    signal.addEventListener('abort', () => this.#taken.wake(), { once: true })
  }

  async readDataset(): Promise<DatasetId> {
    const bytes = await this.#reader.read(CID_BYTES, this.#idleTimeoutMs, this.#signal)
    const dataset = eventIdOfCidBytes(bytes)
    if (dataset === undefined) throw new ProtocolFault('PEER_FAILED', 'not the CID of a dataset')
    return dataset
  }

  /** Reads until the client has no more questions or the stream breaks; `more` tells which. */
  async readAll(): Promise<void> {
    try {
      while (await this.#readBatch()) {
        this.#arrived.wake()
        while (this.#asked.length >= ASKED_COUNT) {
          await this.#taken.wait()
          this.#signal.throwIfAborted()
        }
      }
    } catch (error) {
      this.#failure = error
    }
    this.#ended = true
    this.#arrived.wake()
  }

  take(): CID | undefined {
    const cid = this.#asked.shift()
    if (cid !== undefined && this.#asked.length === ASKED_COUNT - 1) this.#taken.wake()
    return cid
  }

  /** Waits for a question. @returns false when all are answered @throws what broke the stream */
  async more(): Promise<boolean> {
    while (this.#asked.length === 0 && !this.#ended) await this.#arrived.wait()
    if (this.#failure !== undefined) throw this.#failure
    return this.#asked.length > 0
  }

  async #readBatch(): Promise<boolean> {
    const head = await this.#reader.read(COUNT_BYTES, this.#idleTimeoutMs, this.#signal)
    const count = ((head[0] as number) << 8) | (head[1] as number)
    if (count > BATCH_COUNT_MAX) throw new ProtocolFault('TOO_LARGE', `a batch of ${count} CIDs`)
    const bytes = await this.#reader.read(count * CID_BYTES, this.#idleTimeoutMs, this.#signal)
    for (let offset = 0; offset < bytes.length; offset += CID_BYTES) {
      const cid = readWireCid(bytes.subarray(offset, offset + CID_BYTES))
      if (cid === undefined) throw new ProtocolFault('PEER_FAILED', 'not a CIDv1 with sha2-256')
      this.#asked.push(cid)
    }
    return count > 0
  }
}

/** Numbers and blocks on their way to the client, small ones in one write. */
class Outbox {
  readonly #stream: Stream
  readonly #timeoutMs: number
  readonly #signal: AbortSignal
  readonly #buffer = new Uint8Array(GATHER_BYTES)
  readonly #view = new DataView(this.#buffer.buffer)
  #used = 0

  constructor(stream: Stream, timeoutMs: number, signal: AbortSignal) {
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    this.#signal = signal
  }

  async number(value: number): Promise<void> {
    if (this.#used + HEAD_BYTES > GATHER_BYTES) await this.flush()
    this.#view.setUint32(this.#used, value)
    this.#used += HEAD_BYTES
  }

  async block(bytes: Uint8Array): Promise<void> {
    await this.number(bytes.length)
    const part = Math.min(bytes.length, GATHER_BYTES - this.#used)
    this.#copy(bytes.subarray(0, part))
    if (part === bytes.length) return
    await this.flush()
    const rest = bytes.subarray(part)
    if (rest.length <= COPY_BYTES_MAX) this.#copy(rest)
    else await writeBytes(this.#stream, rest, this.#timeoutMs, this.#signal)
  }

  async flush(): Promise<void> {
    if (this.#used === 0) return
    const bytes = this.#buffer.slice(0, this.#used)
    this.#used = 0
    await writeBytes(this.#stream, bytes, this.#timeoutMs, this.#signal)
  }

  #copy(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
  }
}

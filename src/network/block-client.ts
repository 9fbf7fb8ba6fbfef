// The asking side of /gonk/blocks/1: keeps a window of bytes asked for, and hands out each block only
// after its hash has been compared with its CID.
import { hash } from 'node:crypto'
import type { Stream, StreamCloseEvent } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { cidBytesOf, type DatasetId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { AbortOptions } from '../ports.ts'
import {
  BATCH_COUNT_MAX,
  encodeBatch,
  END,
  HEAD_BYTES,
  matchesDigest,
  MISSING,
  wireCid,
} from './block-wire.ts'
import { ProtocolFault } from './failures.ts'
import { closeStream, readUint32, StreamEndedError, StreamReader, writeBytes } from './streams.ts'
import { turn, Wakeup } from './wakeup.ts'

export interface BlockClientLimits {
  /** Bytes asked for and not yet received, by the mean size of the blocks so far. */
  readonly windowBytes: number
  /** From the moment a block is waited for to its last byte. */
  readonly blockTimeoutMs: number
}

export const blockClientLimits: BlockClientLimits = {
  windowBytes: 8 * 1024 * 1024,
  blockTimeoutMs: 30_000,
}

export interface FetchedBlock {
  readonly cid: CID
  /** Undefined: the peer does not have it. */
  readonly bytes: Uint8Array | undefined
}

const READ_BUFFER_BYTES = 4 * 1024 * 1024
const OUTSTANDING_MIN = 4
const OUTSTANDING_MAX = 2048
/** What the first blocks are taken to measure. */
const FIRST_GUESS_BYTES = 256 * 1024

/**
 * Blocks in the order of `cids`, over a stream of its own which it ends.
 * @throws BAD_CID for a CID the protocol cannot carry, ProtocolFault, what breaks the stream
 */
export async function* fetchBlocks(
  stream: Stream,
  dataset: DatasetId,
  cids: Iterable<CID> | AsyncIterable<CID>,
  clientLimits: BlockClientLimits,
  { signal }: AbortOptions,
): AsyncGenerator<FetchedBlock> {
  const reader = new StreamReader(stream, READ_BUFFER_BYTES)
  const timeoutMs = clientLimits.blockTimeoutMs
  const asking = new Asking(stream, clientLimits, signal)
  void asking.askAll(dataset, cids)
  let finished = false
  try {
    for (;;) {
      const cid = await asking.next()
      const length = readUint32(await reader.read(HEAD_BYTES, timeoutMs, signal))
      if (cid === undefined) {
        if (length !== END) throw new ProtocolFault('PEER_FAILED', 'more blocks than asked for')
        finished = true
        return
      }
      if (length === MISSING) {
        asking.answered(0)
        yield { cid, bytes: undefined }
        continue
      }
      if (length > limits.blockBytesMax) {
        throw new ProtocolFault('TOO_LARGE', `a block of ${length} bytes`)
      }
      const bytes = await reader.read(length, timeoutMs, signal)
      if (!matchesDigest(cid, hash('sha256', bytes, 'buffer'))) {
        throw new ProtocolFault('BAD_BLOCK', `the bytes sent for ${cid} are not its own`, 2)
      }
      asking.answered(length)
      yield { cid, bytes }
    }
  } finally {
    reader.release()
    asking.stop()
    if (finished) closeStream(stream)
    else stream.abort(new Error('the transfer was given up'))
  }
}

/** Sends the questions, as far as the window allows, and remembers what is still to be answered. */
class Asking {
  readonly #stream: Stream
  readonly #limits: BlockClientLimits
  readonly #signal: AbortSignal | undefined
  readonly #asked: CID[] = []
  readonly #sent = new Wakeup()
  readonly #room = new Wakeup()
  #outstanding = 0
  #meanBytes = FIRST_GUESS_BYTES
  #done = false
  #stopped = false
  #failure: unknown

  constructor(stream: Stream, clientLimits: BlockClientLimits, signal: AbortSignal | undefined) {
    this.#stream = stream
    this.#limits = clientLimits
    this.#signal = signal
  }

  /** The CID whose answer comes next; undefined after the last. */
  async next(): Promise<CID | undefined> {
    while (this.#asked.length === 0 && !this.#done && this.#failure === undefined) {
      await this.#sent.wait()
    }
    if (this.#failure !== undefined) throw this.#failure
    return this.#asked.shift()
  }

  /** One answer of `bytes` has arrived; 0: the block is missing. */
  answered(bytes: number): void {
    this.#outstanding--
    if (bytes > 0) this.#meanBytes += (bytes - this.#meanBytes) / 8
    this.#room.wake()
  }

  stop(): void {
    this.#stopped = true
    this.#room.wake()
    this.#sent.wake()
  }

  async askAll(dataset: DatasetId, cids: Iterable<CID> | AsyncIterable<CID>): Promise<void> {
    const onAbort = (): void => this.#fail(this.#signal?.reason)
    const onClose = (event: StreamCloseEvent): void =>
      this.#fail(event.error ?? new StreamEndedError('the stream was closed'))
    this.#signal?.addEventListener('abort', onAbort, { once: true })
    this.#stream.addEventListener('close', onClose)
    try {
      await this.#write(cidBytesOf(dataset))
      await this.#askEach(cids)
      if (this.#stopped) return
      await this.#write(encodeBatch([]))
      this.#done = true
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#signal?.removeEventListener('abort', onAbort)
      this.#stream.removeEventListener('close', onClose)
      this.#sent.wake()
    }
  }

  async #askEach(cids: Iterable<CID> | AsyncIterable<CID>): Promise<void> {
    const iterator =
      Symbol.asyncIterator in cids ? cids[Symbol.asyncIterator]() : cids[Symbol.iterator]()
    let batch: CID[] = []
    const flush = async (): Promise<void> => {
      if (batch.length === 0) return
      const cidsNow = batch
      batch = []
      await this.#ask(cidsNow)
    }
    try {
      for (;;) {
        if (this.#fraction(batch.length) >= 1) {
          await flush()
          // Half the window at a time, so that questions too travel in batches.
          while (this.#fraction(0) > 0.5 && !this.#stopped) await this.#room.wait()
        }
        if (this.#stopped) return
        let step = iterator.next()
        if (step instanceof Promise && batch.length > 0) {
          // The source may be waiting for answers to what is in the batch.
          if ((await Promise.race([step, turn()])) === undefined) await flush()
        }
        step = await step
        if (step.done === true) break
        batch.push(step.value)
        if (batch.length === BATCH_COUNT_MAX) await flush()
      }
      await flush()
    } finally {
      await iterator.return?.()
    }
  }

  /** How much of the window is used with `more` further questions. */
  #fraction(more: number): number {
    const count = this.#outstanding + more
    if (count < OUTSTANDING_MIN) return 0
    return Math.max(count / OUTSTANDING_MAX, (count * this.#meanBytes) / this.#limits.windowBytes)
  }

  async #ask(cids: readonly CID[]): Promise<void> {
    const wire = cids.map((cid) => {
      const bytes = wireCid(cid)
      if (bytes === undefined) {
        throw new GonkError('BAD_CID', `${cid} is not a CIDv1 with sha2-256`)
      }
      return bytes
    })
    this.#outstanding += cids.length
    for (const cid of cids) this.#asked.push(cid)
    this.#sent.wake()
    await this.#write(encodeBatch(wire))
  }

  #write(bytes: Uint8Array): Promise<void> {
    return writeBytes(this.#stream, bytes, this.#limits.blockTimeoutMs, this.#signal)
  }

  #fail(error: unknown): void {
    this.#failure ??= error ?? new Error('cancelled')
    this.#sent.wake()
    this.#room.wake()
  }
}

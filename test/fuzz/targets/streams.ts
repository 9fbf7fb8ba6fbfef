// The bytes of the block and sync protocols on streams, in pieces of any size. The first byte says which
// side reads them, the second in what pieces they come.
import type { Stream } from '@libp2p/interface'
import { cidOfDigest, type DatasetId } from '../../../src/core/ids.ts'
import { sha256 } from '../../../src/crypto.ts'
import { blockClientLimits, fetchBlocks } from '../../../src/network/block-client.ts'
import { blockServerLimits, serveBlocks } from '../../../src/network/block-server.ts'
import { encodeBatch, END, MISSING } from '../../../src/network/block-wire.ts'
import type { PeerConduct } from '../../../src/network/conduct.ts'
import { ProtocolFault } from '../../../src/network/failures.ts'
import { rpcLimits, serveRequests } from '../../../src/network/rpc.ts'
import { StreamEndedError, withLength } from '../../../src/network/streams.ts'
import type { PeerId } from '../../../src/ports.ts'
import { cidBytes } from '../seeds.ts'
import { hold, holdSameBytes, type Target, utf8 } from '../target.ts'

const peer = 'peer' as PeerId
const dataset = '07'.repeat(32) as DatasetId
const conduct = { requestDelayMs: () => 0, fault: () => undefined } as unknown as PeerConduct
const stopped = new AbortController().signal
const block = utf8('a block')
const asked = [cidOfDigest(sha256(block), 0x55), cidOfDigest(sha256(utf8('none')), 0x55)]

/** A stream whose other side says `incoming` and ends; it counts what is sent. */
class FakeStream extends EventTarget {
  sentBytes = 0
  status = 'open'
  readStatus = 'readable'
  remoteWriteStatus = 'writable'
  readableEnded = false
  readonly readBufferLength = 0
  readonly writeBufferLength = 0
  pause(): void {}
  resume(): void {}
  send(bytes: Uint8Array): boolean {
    this.sentBytes += bytes.length
    return true
  }
  async close(): Promise<void> {
    this.status = 'closed'
  }
  abort(): void {
    this.status = 'aborted'
  }

  /** Once whoever reads has begun to listen. */
  async deliver(incoming: Uint8Array, pieceBytes: number): Promise<void> {
    for (let at = 0; at < incoming.length; at += pieceBytes) {
      await Promise.resolve()
      const data = incoming.subarray(at, at + pieceBytes)
      this.dispatchEvent(Object.assign(new Event('message'), { data }))
    }
    await Promise.resolve()
    this.dispatchEvent(new Event('end'))
  }
}

type Side = (stream: Stream) => Promise<void>

const sides: readonly Side[] = [
  async (stream) => {
    const handlers = { block: async () => block }
    await serveBlocks(stream, peer, { handlers, conduct, stopped }, blockServerLimits)
  },
  async (stream) => {
    const answers = fetchBlocks(stream, dataset, asked, blockClientLimits, { signal: stopped })
    for await (const { cid, bytes } of answers) {
      if (bytes) holdSameBytes(sha256(bytes), cid.multihash.digest, 'a block by its hash')
    }
  },
  async (stream) => {
    const handlers = { request: async (_peer: PeerId, body: Uint8Array) => body }
    await serveRequests(stream, peer, { handlers, conduct, stopped }, rpcLimits)
  },
]

const uint32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer).reverse()
const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

export const target: Target = {
  seeds: () => [
    join(Uint8Array.of(0, 7), cidBytes(), encodeBatch([cidBytes(0x55)]), encodeBatch([])),
    join(Uint8Array.of(0, 200), cidBytes(), encodeBatch(Array(5).fill(cidBytes(0x70)))),
    join(Uint8Array.of(1, 3), uint32(block.length), block, uint32(MISSING), uint32(END)),
    join(Uint8Array.of(1, 1), uint32(MISSING), uint32(block.length), block, uint32(END)),
    join(Uint8Array.of(2, 5), withLength(utf8('request')), withLength(new Uint8Array(0))),
  ],
  words: [uint32(MISSING), uint32(END), uint32(block.length), block, cidBytes(), cidBytes(0x55)],
  isAsync: true,
  check: async (bytes) => {
    const [which = 0, piece = 0, ...rest] = bytes
    const stream = new FakeStream()
    const side = sides[which % sides.length] as Side
    const reading = side(stream as unknown as Stream)
    const [outcome] = await Promise.allSettled([
      reading,
      stream.deliver(Uint8Array.from(rest), 1 + piece),
    ])
    if (outcome.status === 'rejected') {
      const { reason } = outcome as { reason: unknown }
      const isKnown = reason instanceof ProtocolFault || reason instanceof StreamEndedError
      if (!isKnown) throw reason
    }
    // A question of 36 bytes has an answer of the block; a request comes back as it is.
    hold(stream.sentBytes <= bytes.length + 200, `${stream.sentBytes} bytes sent`)
  },
}

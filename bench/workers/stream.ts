// A bare libp2p stream with our transport, encryption and muxer and nothing else: one side sends
// bytes from memory, the other counts them.
import { noise } from '@chainsafe/libp2p-noise'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { serve } from '../worker.ts'

const PROTOCOL = '/bench/bytes/1'
const PIECE_BYTES = 256 * 1024
/** As fast as yamux goes: the reader never pauses, so nothing needs a smaller window. */
const WINDOW_BYTES = 16 << 20

let node: Libp2p | undefined

async function open(listen: string[]): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        streamOptions: {
          maxStreamWindowSize: WINDOW_BYTES,
          maxReadBufferLength: WINDOW_BYTES * 2,
          maxWriteBufferLength: WINDOW_BYTES,
        },
      }),
    ],
  })
}

/** Sends as many bytes as the first 8 of the stream say. */
async function send(stream: Stream): Promise<void> {
  const wanted = await new Promise<number>((resolve) => {
    stream.addEventListener('message', ({ data }) => {
      resolve(Number(Buffer.from(data.subarray()).readBigUInt64BE()))
    })
  })
  const piece = new Uint8Array(PIECE_BYTES)
  for (let left = wanted; left > 0; left -= piece.length) {
    const isOpen = stream.send(piece.subarray(0, Math.min(left, piece.length)))
    if (!isOpen) {
      await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
    }
  }
  await stream.close()
}

const methods = {
  /** @returns its address. */
  async listen(): Promise<string> {
    node = await open(['/ip4/127.0.0.1/tcp/0'])
    await node.handle(PROTOCOL, (stream) => void send(stream))
    return String(node.getMultiaddrs()[0])
  },

  async dial(address: string): Promise<void> {
    node = await open([])
    await node.dial(multiaddr(address))
  },

  /** Takes `bytes` bytes from the peer that was dialled. @returns seconds. */
  async take(bytes: number): Promise<number> {
    const [connection] = node?.getConnections() ?? []
    if (connection === undefined) throw new Error('not dialled')
    const startMs = performance.now()
    const stream = await connection.newStream(PROTOCOL)
    const request = Buffer.alloc(8)
    request.writeBigUInt64BE(BigInt(bytes))
    let taken = 0
    await new Promise<void>((resolve, reject) => {
      stream.addEventListener('message', ({ data }) => {
        taken += data.byteLength
        if (taken >= bytes) resolve()
      })
      stream.addEventListener('close', (event) => {
        if (taken < bytes) reject(event.error ?? new Error('the stream ended early'))
      })
      stream.send(request)
    })
    return (performance.now() - startMs) / 1000
  },
}

export type StreamMethods = typeof methods

serve(methods)

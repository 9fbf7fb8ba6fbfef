// Connections that died without a word (a pulled cable, a machine asleep) end here, and what stood on
// them moves to the one that took their place. TCP alone needs a quarter of an hour to notice.
import type { Connection, IdentifyResult, StreamMuxerFactory } from '@libp2p/interface'
import type { PeerId } from '../ports.ts'
import type { Host } from './host.ts'

/** Nothing at all may come from a peer for so long; it is pinged three times meanwhile. */
export const SILENCE_MS = 30_000

/** How often a muxer has to ping, for a living peer to be heard well within `silenceMs`. */
export const pingEveryMs = (silenceMs: number): number => Math.ceil(silenceMs / 3)

/**
 * The same muxer, which ends a connection when nothing was heard for `silenceMs`. Any byte counts, not
 * only the answer to a ping: behind a slow link full of data an answer may be late.
 */
export function endWhenSilent(
  create: () => StreamMuxerFactory,
  silenceMs: number,
): () => StreamMuxerFactory {
  return () => {
    const inner = create()
    const createStreamMuxer: StreamMuxerFactory['createStreamMuxer'] = (connection) => {
      const muxer = inner.createStreamMuxer(connection)
      // Counted in turns, not read from a clock: our own process may have been asleep.
      let turnsInSilence = 0
      const timer = setInterval(() => {
        turnsInSilence++
        if (turnsInSilence > 3) connection.abort(new Error(`nothing heard for ${silenceMs} ms`))
      }, pingEveryMs(silenceMs))
      timer.unref()
      connection.addEventListener('message', () => (turnsInSilence = 0))
      connection.addEventListener('close', () => clearInterval(timer))
      return muxer
    }
    return { protocol: inner.protocol, createStreamMuxer }
  }
}

/**
 * A peer that connects again has lost the connection it had, whatever that looks like from here, so the
 * older one ends. And where one of several connections ends, identify runs again on the newest left:
 * gossipsub ties its streams to one connection, and opens new ones only then.
 * `onMoved` is told before that. @returns what stops it
 */
export function followNewest(host: Host, onMoved: (peer: PeerId) => void): () => void {
  const onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const { connection, peerId } = detail
    if (connection.direction !== 'inbound') return
    const all = host.getConnections(peerId)
    for (const older of all.slice(0, Math.max(0, all.indexOf(connection)))) {
      if (older.direction === 'inbound') older.abort(new Error('the peer has connected again'))
    }
  }
  const onClose = ({ detail }: CustomEvent<Connection>): void => {
    const { remotePeer } = detail
    const left = host.getConnections(remotePeer).findLast(({ status }) => status === 'open')
    if (left === undefined) return
    onMoved(remotePeer.toString())
    // It fails only where this connection ends as well.
    host.services.identify.identify(left).catch(() => undefined)
  }
  host.addEventListener('peer:identify', onIdentify)
  host.addEventListener('connection:close', onClose)
  return () => {
    host.removeEventListener('peer:identify', onIdentify)
    host.removeEventListener('connection:close', onClose)
  }
}

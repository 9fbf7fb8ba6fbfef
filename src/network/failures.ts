// What went wrong with a peer, as a GonkError.
import type { Connection } from '@libp2p/interface'
import { GonkError } from '../core/errors.ts'
import type { PeerId } from '../ports.ts'
import { StreamTimeoutError } from './streams.ts'

/** A peer broke the protocol in a way that only it can be blamed for. */
export class ProtocolFault extends Error {
  override readonly name = 'ProtocolFault'
  readonly code: 'PEER_FAILED' | 'TOO_LARGE' | 'BAD_BLOCK'
  /** Demerits, see conduct.ts. */
  readonly weight: number

  constructor(code: 'PEER_FAILED' | 'TOO_LARGE' | 'BAD_BLOCK', message: string, weight = 1) {
    super(message)
    this.code = code
    this.weight = weight
  }
}

/** The caller's own abort: CANCELLED, or TIMEOUT where its signal was a timeout. */
export function abortError(signal: AbortSignal): GonkError {
  const { reason } = signal
  if (reason instanceof GonkError) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  return timedOut
    ? new GonkError('TIMEOUT', 'no answer in time', { cause: reason })
    : new GonkError('CANCELLED', 'cancelled', { cause: reason })
}

/** TIMEOUT, CANCELLED, BAD_BLOCK or PEER_FAILED, whichever `error` comes down to. */
export function peerError(error: unknown, peer: PeerId, signal?: AbortSignal): GonkError {
  if (error instanceof GonkError) return error
  if (signal?.aborted === true) return abortError(signal)
  const message = error instanceof Error ? error.message : String(error)
  const name = error instanceof Error ? error.name : ''
  if (error instanceof StreamTimeoutError || name === 'TimeoutError' || name === 'AbortError') {
    return new GonkError('TIMEOUT', `peer ${peer}: ${message}`, { cause: error, details: { peer } })
  }
  const code =
    error instanceof ProtocolFault && error.code === 'BAD_BLOCK' ? 'BAD_BLOCK' : 'PEER_FAILED'
  return new GonkError(code, `peer ${peer}: ${message}`, { cause: error, details: { peer } })
}

/** The newest open connection. @throws PEER_FAILED */
export function openConnection(connections: readonly Connection[], peer: PeerId): Connection {
  const open = connections.findLast(({ status }) => status === 'open')
  if (open === undefined) {
    throw new GonkError('PEER_FAILED', `peer ${peer} is not connected`, { details: { peer } })
  }
  return open
}

/** Why nobody was reached at an address. */
export function unreachable(address: string, cause: unknown): GonkError {
  const what = String(cause)
  if (/Payload identity key/.test(what)) {
    return new GonkError('NO_PEER', `another peer than the one named answers at ${address}`, {
      hint: 'take the address from `gonk-node status` or `share` on that machine',
      cause,
    })
  }
  return new GonkError('NO_PEER', `cannot reach ${address}: ${what}`, { cause })
}

const strayNames = new Set([
  'StreamStateError',
  'StreamResetError',
  'StreamClosedError',
  'StreamAbortedError',
  'MuxerClosedError',
  'ConnectionClosedError',
])

/**
 * An error that libp2p threw from a timer or a promise of its own, when a connection went away while
 * it was writing: nobody could have caught it, and nothing but that connection is concerned.
 */
export function isStrayStreamError(error: unknown): boolean {
  return error instanceof Error && strayNames.has(error.name)
}

// What whoever opens a network may choose, and the limits if nothing is chosen.
import type { PeerId } from '../ports.ts'
import { blockClientLimits } from './block-client.ts'
import { blockServerLimits } from './block-server.ts'
import type { ConductOptions } from './conduct.ts'
import type { DirectoryOptions } from './directory.ts'
import type { RedialOptions } from './named-peers.ts'
import { rpcLimits } from './rpc.ts'

export interface NetworkOptions {
  /** 32 bytes: the seed of the Ed25519 key behind the peer id. */
  readonly seed: Uint8Array
  /** Multiaddrs to listen on. Empty: this node only dials, and announces nothing. @default [] */
  readonly listen?: readonly string[]
  /** Peers kept connected from the start, dialled again for ever. @default [] */
  readonly peers?: readonly string[]
  /** Peer ids that may connect or be dialled. @default everybody */
  readonly allow?: readonly PeerId[]
  /** Whether an address heard from another peer may be dialled. @default every address */
  readonly mayDial?: (multiaddr: string) => boolean
  /** @default 256 */
  readonly connectionsMax?: number
  /** Time for dialling one address, in ms. @default 10,000 */
  readonly dialTimeoutMs?: number
  /** A connection on which nothing comes for so long, in ms, is ended. @default 30,000 */
  readonly silenceMs?: number
  readonly limits?: Partial<NetworkLimits>
  readonly conduct?: Partial<ConductOptions>
  readonly redial?: Partial<RedialOptions>
  readonly directory?: Partial<DirectoryOptions>
}

export type NetworkLimits = typeof rpcLimits &
  typeof blockServerLimits &
  typeof blockClientLimits & {
    /** Streams of blocks one peer may have open here. */
    readonly blockStreamsMax: number
  }

export const networkLimits: NetworkLimits = {
  ...blockServerLimits,
  ...blockClientLimits,
  ...rpcLimits,
  blockStreamsMax: 8,
}

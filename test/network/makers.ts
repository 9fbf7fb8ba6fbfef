// Networks and hostile peers for the tests of this folder.
import { randomBytes } from 'node:crypto'
import { createHost, type Host } from '../../src/network/host.ts'
import { createNetwork, type Libp2pNetwork } from '../../src/network/libp2p-network.ts'
import type { NetworkOptions } from '../../src/network/options.ts'
import type { Logger } from '../../src/ports.ts'
import { Recorder } from '../conformance/network-suite.ts'

function nothing(): void {}
export const quiet: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** Keeps warnings and errors. */
export class LineLog implements Logger {
  readonly lines: Record<string, unknown>[] = []
  debug = nothing
  info = nothing
  warn = (fields: object, message: string): void => {
    this.lines.push({ ...fields, message })
  }
  error = this.warn
}

export interface TestNode {
  readonly network: Libp2pNetwork
  readonly told: Recorder
  readonly log: LineLog
  readonly address: string
}

/** Nodes on 127.0.0.1 that are stopped by `close`. */
export function aNeighbourhood(): {
  node(options?: Partial<NetworkOptions>): Promise<TestNode>
  stranger(): Promise<Host>
  close(): Promise<void>
} {
  const open: { stop(): Promise<void> | void }[] = []
  return {
    async node(options = {}) {
      const log = new LineLog()
      const network = await createNetwork(
        { log },
        {
          seed: randomBytes(32),
          listen: ['/ip4/127.0.0.1/tcp/0'],
          mayDial: (address) => address.startsWith('/ip4/127.0.0.1/'),
          ...options,
        },
      )
      open.push(network)
      const told = new Recorder()
      await network.start(told)
      return { network, told, log, address: network.multiaddrs()[0] ?? '' }
    },
    /** A bare libp2p peer that speaks nothing of ours until told. */
    async stranger() {
      const host = await createHost({
        seed: randomBytes(32),
        listen: [],
        connectionsMax: 10,
        gater: {
          denyDialMultiaddr: (address) => !address.toString().startsWith('/ip4/127.0.0.1/'),
        },
        wantsTopic: () => true,
        score: () => 0,
      })
      open.push(host)
      await host.start()
      return host
    },
    async close() {
      for (const node of open.splice(0)) await node.stop()
    },
  }
}

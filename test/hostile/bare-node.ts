// A node in memory on a real network of 127.0.0.1, whose parts a test may replace: what it says to
// peers, the rules it derives by, how fast its clock runs.
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { type NodeContext, Replicas, type ReplicasNeeds } from '../../src/api/context.ts'
import { Live } from '../../src/api/live.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import { signerOf, systemRandom } from '../../src/crypto.ts'
import { createNetwork, type Libp2pNetwork } from '../../src/network/libp2p-network.ts'
import type { NetworkOptions } from '../../src/network/options.ts'
import type { Clock, Logger, Network, NetworkHandlers } from '../../src/ports.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { makeNode, type TestDataset } from '../api/make-node.ts'
import { signerNamed } from '../signing.ts'

export interface LogLine extends Readonly<Record<string, unknown>> {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
}

export interface BareOptions {
  /** Times as fast as real time: what is due every half a minute is due sooner. @default 1 */
  readonly speed?: number
  readonly rules?: unknown
  readonly poolBytesMax?: number
  readonly network?: Partial<NetworkOptions>
  /** What others replace of the network. */
  readonly instead?: (network: Libp2pNetwork) => Partial<Network>
  /** What others replace of the answers to peers. */
  readonly answers?: (handlers: NetworkHandlers) => Partial<NetworkHandlers>
}

export interface BareNode {
  readonly name: string
  readonly network: Libp2pNetwork
  readonly live: Live
  readonly address: string
  readonly lines: LogLine[]
  replicaOf(dataset: DatasetId): Promise<Replica>
  /** A dataset of its own, which it shares. */
  createDataset(name: string): Promise<TestDataset>
  /** Follows a dataset of which it holds nothing yet. */
  follow(dataset: DatasetId, ...from: readonly BareNode[]): Promise<Replica>
}

export const ownerOf = (node: { readonly name: string }) => signerNamed(`owner on ${node.name}`)

function fastClock(speed: number): Clock {
  const startMs = Date.now()
  return {
    nowMs: () => startMs + (Date.now() - startMs) * speed,
    sleep: (ms, options) =>
      pause(ms / speed, undefined, options?.signal ? { signal: options.signal } : {}),
  }
}

/** Goes with the test. */
export async function aBareNode(name: string, options: BareOptions = {}): Promise<BareNode> {
  const clock = fastClock(options.speed ?? 1)
  const lines: LogLine[] = []
  const keep = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ ...fields, level, message })
  const logger: Logger = {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  }
  const parts = await makeNode({ clock })
  const { rules, poolBytesMax } = options
  const needs = { ...parts, logger, poolBytesMax, rules } as ReplicasNeeds
  const isPlain = rules === undefined && poolBytesMax === undefined
  const replicas = isPlain ? parts.replicas : new Replicas(needs)
  const real = await createNetwork(
    { log: logger },
    {
      seed: randomBytes(32),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      mayDial: (address) => address.startsWith('/ip4/127.0.0.1/'),
      ...options.network,
    },
  )
  const network = replaced<Network>(real, options.instead?.(real) ?? {})
  const { files, held } = parts
  const keeper = new FileKeeper(
    { files, held, network, clock, logger },
    { prefetchBytesMax: 1 << 20 },
  )
  const validator = openValidator()
  const signer = signerOf(randomBytes(32))
  const context: NodeContext = {
    ...parts,
    logger,
    network,
    keeper,
    replicas,
    validator,
    signer,
    me: { name, role: 'admin', publicKey: signer.publicKey },
    random: systemRandom,
  }
  const live = new Live(context)
  await real.start(replaced(live.handlers, options.answers?.(live.handlers) ?? {}))
  onTestFinished(async () => {
    await live.close()
    await real.stop()
    await keeper.close()
    await validator.close()
    await replicas.closeAll()
    await parts.close()
  })
  const open = async (dataset: DatasetId) => {
    if (parts.catalog.get(dataset) === undefined)
      await parts.catalog.create(dataset, { name: name })
    return replicas.get(dataset)
  }
  return {
    name,
    network: real,
    live,
    address: real.multiaddrs()[0] as string,
    lines,
    replicaOf: (dataset) => replicas.get(dataset),
    async createDataset(called) {
      if (!isPlain) throw new Error('nodes that differ follow what others make')
      const made = await parts.createDataset(called, [ownerOf({ name })])
      await live.follow(made.entry.id)
      return made
    },
    async follow(dataset, ...from) {
      const replica = await open(dataset)
      await live.follow(dataset)
      for (const { address } of from) await real.connect(address)
      return replica
    },
  }
}

/** The object with some of its methods replaced. */
function replaced<T extends object>(whole: T, some: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      const value =
        (some as Record<PropertyKey, unknown>)[name] ?? Reflect.get(target, name, target)
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
  })
}

// The composition root: the only place where adapters are built and plugged together. Starts from
// the disk outwards, stops in the reverse order.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { neededFiles } from './api/collect.ts'
import { Live } from './api/live.ts'
import { Clones } from './api/clones.ts'
import { type NodeContext, Replicas } from './api/context.ts'
import { dropUnborn } from './api/datasets.ts'
import { createNodeApi } from './api/node-api.ts'
import type { NodeApi } from './api/types.ts'
import type { Config } from './config.ts'
import { nodeCrypto, signerOf, systemClock, systemRandom } from './crypto.ts'
import { openDiskBlocks } from './files/block-store.ts'
import { blocksOf } from './files/blocks.ts'
import { createFileStore } from './files/file-store.ts'
import { openHelia } from './files/helia.ts'
import type { Home } from './home.ts'
import { Catalog } from './log/catalog.ts'
import { openDatabase } from './log/database.ts'
import { HeldFiles } from './log/held-files.ts'
import { NodeBlocks } from './log/node-blocks.ts'
import { isStrayStreamError } from './network/failures.ts'
import { createNetwork } from './network/libp2p-network.ts'
import type { Logger } from './ports.ts'
import { FileKeeper } from './replica/file-keeper.ts'

export interface OpenNodeOptions {
  /** False: for one command. Nothing listens, and only what the command names is dialled. */
  readonly listen: boolean
  readonly logger: Logger
}

export interface OpenNode {
  readonly api: NodeApi
  close(): Promise<void>
}

/**
 * Opens a home and starts its node.
 * Throws HOME_BUSY, HOME_FORMAT, HOME_DAMAGED, DISK, and BAD_ADDRESS where it cannot listen.
 */
export async function openNode(
  home: Home,
  config: Config,
  { listen, logger }: OpenNodeOptions,
): Promise<OpenNode> {
  await using stack = new AsyncDisposableStack()
  const db = await openDatabase(join(home.dir, 'log'))
  stack.defer(() => db.close())
  // What a killed process left of its temporary databases.
  const scratch = join(home.dir, 'tmp')
  await rm(scratch, { recursive: true, force: true })
  const catalog = await Catalog.open(db)
  await dropUnborn(catalog)
  const nodes = new NodeBlocks(db)
  const held = new HeldFiles(db)
  const content = await openDiskBlocks(join(home.dir, 'blocks'))
  const files = createFileStore(content)
  const shared = { db, catalog, nodes, held, crypto: nodeCrypto(), clock: systemClock, logger }
  const replicas = new Replicas({ ...shared, poolBytesMax: config.poolBytesMax })
  stack.defer(() => replicas.closeAll())
  const network = await createNetwork(
    { log: logger },
    {
      seed: home.peerSeed,
      listen: listen ? config.listen : [],
      peers: listen
        ? [...config.peers, ...catalog.list().flatMap((entry) => entry.peers ?? [])]
        : [],
      connectionsMax: config.connectionsMax,
      ...(config.allow.length > 0 && { allow: config.allow }),
    },
  )
  const keeper = new FileKeeper(
    {
      files,
      held,
      network,
      clock: systemClock,
      logger,
      neededFiles: () => neededFiles({ catalog, replicas }),
    },
    { prefetchBytesMax: config.prefetchBytesMax },
  )
  stack.defer(() => keeper.close())
  const context: NodeContext = {
    ...shared,
    files,
    network,
    keeper,
    replicas,
    signer: signerOf(home.authorSeed),
    random: systemRandom,
    scratch,
  }
  const live = new Live(context)
  stack.defer(() => live.close())
  await network.start(live.handlers)
  stack.defer(() => network.stop())
  const helia = await openHelia({
    blocks: blocksOf(nodes, content),
    libp2p: network.libp2p,
    mayServe: (cid) => live.isShared(cid),
  })
  stack.defer(() => helia.stop())
  const clones = new Clones(context, live)
  stack.defer(() => clones.close())
  if (listen) clones.resume(await live.followAll())
  const disposables = stack.move()
  return {
    api: createNodeApi(context, live, { clones, isDaemon: listen }),
    close: () => disposables.disposeAsync(),
  }
}

/**
 * Keeps the process alive through errors of libp2p that no caller can catch, one log line each.
 * Anything else is a bug and ends the process, as it would have without this.
 * @returns how to undo it.
 */
export function surviveStrayErrors(logger: Logger): () => void {
  const onError = (error: unknown) => {
    if (!isStrayStreamError(error)) throw error
    logger.warn({ code: 'PEER_FAILED', reason: String(error) }, 'a connection broke while in use')
  }
  process.on('uncaughtException', onError)
  return () => process.off('uncaughtException', onError)
}

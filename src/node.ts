// The composition root: the only place where adapters are built and plugged together. Starts from
// the disk outwards, stops in the reverse order.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { neededFiles } from './api/copies/collect.ts'
import { Live } from './api/live.ts'
import { Clones } from './api/copies/clones.ts'
import { type NodeContext, Replicas } from './api/context.ts'
import { createDataset, dropUnborn } from './api/datasets/datasets.ts'
import { createGonkApi } from './api/gonk/gonk-api.ts'
import type { GonkApi } from './api/gonk/types.ts'
import { Views } from './api/gonk/view.ts'
import { Incoming } from './api/objects/incoming.ts'
import { createNodeApi } from './api/node-api.ts'
import type { Me, NodeApi, NodeDoor } from './contract/api.ts'
import type { Config } from './config.ts'
import { nodeCrypto, signerOf, systemClock, systemRandom } from './crypto.ts'
import { openDiskBlocks } from './files/block-store.ts'
import { blocksOf } from './files/blocks.ts'
import { DiskSpace } from './files/disk-space.ts'
import { createFileStore } from './files/file-store.ts'
import { openHelia } from './files/helia.ts'
import type { Home } from './home.ts'
import type { PublicKey } from './core/ids.ts'
import { Catalog } from './log/catalog.ts'
import { type Database, openDatabase } from './log/database.ts'
import { HeldFiles } from './log/held-files.ts'
import { NodeBlocks } from './log/node-blocks.ts'
import { restoreCatalog, salvage, type Salvaged } from './log/salvage.ts'
import { isStrayStreamError } from './network/failures.ts'
import { createNetwork } from './network/libp2p-network.ts'
import type { Logger, Signer } from './ports.ts'
import { FileKeeper } from './replica/file-keeper.ts'
import { openUsers } from './users/user-store.ts'
import type { Users } from './users/users.ts'
import { openValidator } from './validation/validator.ts'

/** What `me` calls the node itself; no user can have this name. */
const NODE_NAME = 'this node'

export interface OpenNodeOptions {
  /** False: for one command. Nothing listens, and only what the command names is dialled. */
  readonly listen: boolean
  readonly logger: Logger
  /** Opens and seals the signing keys of users. */
  readonly passphrase?: string | undefined
}

export interface OpenNode {
  /** On behalf of the node itself, with its own key. */
  readonly api: NodeApi
  /** On behalf of its users. */
  readonly door: NodeDoor
  /** The Gonk dialect on behalf of a user. */
  gonkOf(me: Me): GonkApi
  /** Keeps the Gonk dialect up to date in the background. */
  followGonk(): void
  close(): Promise<void>
}

/**
 * Opens a home and starts its node.
 * Throws HOME_BUSY, HOME_FORMAT, HOME_DAMAGED, DISK, and BAD_ADDRESS where it cannot listen.
 */
export async function openNode(
  home: Home,
  config: Config,
  { listen, logger, passphrase }: OpenNodeOptions,
): Promise<OpenNode> {
  await using stack = new AsyncDisposableStack()
  const db = await openDatabase(join(home.dir, 'log'))
  stack.defer(() => db.close())
  // What a killed process left of its temporary databases.
  const scratch = join(home.dir, 'tmp')
  await rm(scratch, { recursive: true, force: true })
  const users = await openUsers(join(home.dir, 'users'), {
    clock: systemClock,
    random: systemRandom,
    logger,
    passphrase,
  })
  const validator = openValidator()
  stack.defer(() => validator.close())
  await afterLosses(db, logger)
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
      neededFiles: () => neededFiles({ catalog, replicas, held, clock: systemClock }),
    },
    { prefetchBytesMax: config.prefetchBytesMax },
  )
  stack.defer(() => keeper.close())
  const space = new DiskSpace(home.dir, { reserveBytes: config.diskReserveBytes })
  const { storedBytesMax } = config
  const context: NodeContext = {
    ...shared,
    incoming: new Incoming({ held, clock: systemClock, space }, { storedBytesMax }),
    files,
    network,
    keeper,
    replicas,
    users,
    validator,
    me: { name: NODE_NAME, role: 'admin', publicKey: home.publicKey },
    signer: signerOf(home.authorSeed),
    random: systemRandom,
    scratch,
  }
  const views = new Views(context)
  stack.defer(() => views.close())
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
  const contextOf = (me: Me): NodeContext => ({ ...context, me, signer: signerFor(me, users) })
  const options = { clones, isDaemon: listen, home }
  const apiOf = (mine: NodeContext) => createNodeApi(mine, live, options)
  const apis = new Map<string, NodeApi>()
  return {
    api: apiOf(context),
    door: {
      authenticate: (key) => {
        const user = users.authenticate(key)
        return user && { name: user.name, role: user.role, publicKey: user.publicKey }
      },
      apiOf: (me) => {
        const known = apis.get(me.publicKey)
        if (known) return known
        const api = apiOf(contextOf(me))
        apis.set(me.publicKey, api)
        return api
      },
    },
    gonkOf: (me) => {
      const mine = contextOf(me)
      return createGonkApi(mine, {
        views,
        createDataset: (request) => createDataset(mine, live, request),
      })
    },
    followGonk: () => views.follow(),
    close: () => disposables.disposeAsync(),
  }
}

/** Where writes were lost that came before others that were not, rows contradict each other. */
async function afterLosses(db: Database, logger: Logger): Promise<void> {
  const lostBytes = db.health?.lostBytes ?? 0
  if (lostBytes === 0) return
  const { found } = await restoreCatalog(db, nodeCrypto().sha256)
  const fields = { code: 'HOME_DAMAGED', lostBytes, found }
  logger.error(fields, 'some of the last writes cannot be read: all rows are made again')
}

/** Makes a home that {@link openNode} cannot open readable again, as far as it can be. Then repair all. */
export async function repairHome(home: Home): Promise<Salvaged> {
  return salvage(join(home.dir, 'log'), nodeCrypto().sha256)
}

/** Signs only when it must: a user whose key is sealed may still read. */
function signerFor({ name, publicKey }: Me, users: Users): Signer {
  const key = publicKey as PublicKey
  return { publicKey: key, sign: (message) => users.signerOf(name).sign(message) }
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

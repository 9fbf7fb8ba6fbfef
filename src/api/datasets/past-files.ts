// The `files/` directories of past states. Nodes of old trees may be gone, or were never made on this
// node: what is missing is computed again from the events, once it is needed.
import { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../core/errors.ts'
import type { EventId } from '../../core/ids.ts'
import { decodeSnapshot } from '../../core/snapshot.ts'
import {
  directoryChanges,
  type DirectorySource,
  type Place,
  type PlacedChange,
} from '../../files/directory-diff.ts'
import type { NodeBlocks } from '../../log/node-blocks.ts'
import type { AbortOptions, FileStore } from '../../ports.ts'
import { historyOf, type RecomputeNeeds, Replay } from '../../replica/recompute.ts'
import type { Replica } from '../../replica/replica.ts'

export interface PastFilesNeeds extends RecomputeNeeds {
  readonly nodes: NodeBlocks
  readonly files: FileStore
}

/** A state by its root, and the heads of the events that give it. */
export interface PastState {
  readonly root: CID
  readonly heads: readonly EventId[]
}

/** The state of a root that this node knows. Throws NOT_FOUND. */
export async function stateOfRoot(
  { nodes }: Pick<PastFilesNeeds, 'nodes'>,
  replica: Replica,
  root: CID,
): Promise<PastState> {
  const snapshot = await readSnapshot(nodes, root)
  if (snapshot?.dataset === replica.id) return { root, heads: snapshot.heads }
  throw new GonkError('NOT_FOUND', `root ${root} of this dataset is not known here`, {
    hint: 'name a release, or a root that `gonk-node root` has printed here',
  })
}

async function readSnapshot(nodes: Pick<NodeBlocks, 'get'>, root: CID) {
  const bytes = await nodes.get(root)
  const snapshot = bytes && decodeSnapshot(bytes)
  return snapshot === undefined || isRejection(snapshot) ? undefined : snapshot
}

/**
 * The files by which `after` differs from `before` (undefined: no files at all), in no certain order;
 * `from`: those behind the place of one of them.
 * Throws BAD_ROOT when the events here do not give a root and it must be computed, NOT_HERE,
 * CANCELLED, DISK.
 */
export async function* changedFiles(
  needs: PastFilesNeeds,
  replica: Replica,
  before: PastState | undefined,
  after: PastState,
  { from, ...options }: AbortOptions & { readonly from?: Place | undefined } = {},
): AsyncGenerator<PlacedChange> {
  const states = before === undefined ? [after] : [before, after]
  const lost = new LostNodes(needs, replica, states, options)
  const source: DirectorySource = {
    get: (cid) => needs.nodes.get(cid),
    recover: (cid) => lost.get(cid),
    isFile: async (_, cid) =>
      (await replica.log.contents.isAccepted(cid.bytes)) || needs.files.blocks.has(cid),
  }
  try {
    const directoryOf = async (state: PastState) =>
      (await readSnapshot(needs.nodes, state.root))?.files ?? (await lost.filesOf(state))
    const old = before && (await directoryOf(before))
    yield* directoryChanges(old, await directoryOf(after), source, from)
  } finally {
    await lost.close()
  }
}

/** States computed again, each at most once and only when something of it is missed. */
class LostNodes {
  readonly #needs: PastFilesNeeds
  readonly #replica: Replica
  readonly #states: readonly PastState[]
  readonly #options: AbortOptions
  readonly #open = new Map<PastState, Replay>()

  constructor(
    needs: PastFilesNeeds,
    replica: Replica,
    states: readonly PastState[],
    options: AbortOptions,
  ) {
    this.#needs = needs
    this.#replica = replica
    this.#states = states
    this.#options = options
  }

  /** @returns undefined when it is a node of none of the states. */
  async get(cid: CID): Promise<Uint8Array | undefined> {
    for (const state of this.#states) {
      const { nodes } = await this.#replayed(state)
      const bytes = await nodes.get(cid)
      if (bytes !== undefined) return bytes
    }
    return undefined
  }

  async filesOf(state: PastState): Promise<CID | undefined> {
    const { snapshot } = await (await this.#replayed(state)).state()
    return snapshot?.files
  }

  async #replayed(state: PastState): Promise<Replay> {
    const known = this.#open.get(state)
    if (known !== undefined) return known
    const replay = await Replay.open(this.#needs, this.#replica.id, this.#options)
    this.#open.set(state, replay)
    await replay.take(historyOf(this.#replica.log, state.heads))
    const { snapshot } = await replay.state()
    if (snapshot?.root.equals(state.root)) return replay
    throw new GonkError('BAD_ROOT', `the events here do not give the root ${state.root}`)
  }

  async close(): Promise<void> {
    for (const replay of this.#open.values()) await replay.close()
  }
}

// What a node has and what it makes of it, each in one comparable form.
import { createHash } from 'node:crypto'
import { type CheckpointId, type EventId, hexOf, versionKey } from '../../src/core/ids.ts'
import { datasetPrefix, rangeOf, type Table, u32 } from '../../src/log/keys.ts'
import type { ProposalRow } from '../../src/log/rows.ts'
import type { Replica } from '../../src/replica/replica.ts'
import type { Version } from '../../src/core/state.ts'
import { rowOfStored } from '../../src/log/object-table.ts'
import type { StateText } from '../reference/state-text.ts'
import type { SimulatedNode } from './node.ts'
import { keyOfText } from './rows.ts'

const ORDINAL = 1

/** Tables whose rows follow from the owner events and the proposals these name. */
const DERIVED: readonly Table[] = [
  'heads',
  'voids',
  'requirements',
  'checkpoints',
  'votes',
  'wanted',
  'dirty',
  'names',
  'directories',
  'owned',
  'contents',
  'accepted',
  'releases',
  'stateJournal',
]

export function rowsOf({ disk }: SimulatedNode, table: Table) {
  return disk.rows.range(rangeOf(datasetPrefix(table, ORDINAL)))
}

/** The rest of the keys of one table, as text. */
export function keysOf(node: SimulatedNode, table: Table): string[] {
  const skip = 1 + u32(ORDINAL).length
  return rowsOf(node, table).map(([key]) => key.slice(skip))
}

/** Owner events it has, and the proposals named by them that it lacks. */
export function holdingsOf(node: SimulatedNode): string {
  return `${keysOf(node, 'headers').join('')} ${keysOf(node, 'wanted').join('')}`
}

export interface Digest {
  readonly holdings: string
  /** The checkpoint that its user trusts. */
  readonly anchor: CheckpointId | undefined
  readonly root: string
  /** Of the rows of each table, and of what was decided. */
  readonly parts: Readonly<Record<string, string>>
  /** Those that an owner event names. */
  readonly proposals: readonly (readonly [EventId, ProposalRow])[]
  /** Owner events, the genesis among them. */
  readonly owner: readonly EventId[]
  /** Bytes of undecided proposals by others: as noted, and as their rows say. */
  readonly pool: { readonly noted: number; readonly actual: number }
}

/** Behind the replica's lock, when all that is stored is derived and published. */
export async function digestOf(node: SimulatedNode, replica: Replica): Promise<Digest> {
  return replica.whileStill(async ([root]) => {
    const parts: Record<string, string> = {}
    for (const table of DERIVED) {
      const hash = createHash('sha256')
      for (const [key, value] of rowsOf(node, table)) hash.update(key, 'latin1').update(value)
      parts[table] = hash.digest('hex')
    }
    const all: [EventId, ProposalRow][] = []
    for await (const each of replica.log.allProposals()) all.push(each)
    const proposals = all.filter(([, row]) => row.named)
    parts['decisions'] = JSON.stringify(proposals.map(([id, { decisions }]) => [id, decisions]))
    parts['tenures'] = sortedText(replica.tenures)
    parts['alarms'] = alarmsOf(replica).join()
    const pooled = all.filter(([, row]) => !row.named && !row.own)
    const actual = pooled.reduce((sum, [, row]) => sum + row.poolBytes, 0)
    const noted = (await replica.log.meta<number>('poolBytes')) ?? 0
    return {
      holdings: holdingsOf(node),
      anchor: replica.anchor,
      root: String(root),
      parts,
      proposals,
      owner: keysOf(node, 'headers').map((key) => hexOf(keyOfText(key)) as EventId),
      pool: { noted, actual },
    }
  })
}

/** Those that follow from the events; whether a chain has changed is a matter of what came when. */
function alarmsOf({ alarms }: Replica): string[] {
  const lasting = alarms.filter(({ kind }) => kind !== 'chain-changed')
  return lasting.map(({ kind, ids }) => `${kind} ${[...ids].sort().join()}`).sort()
}

/** What the reference says too, read from the rows. */
export async function stateTextOf(replica: Replica, { proposals }: Digest) {
  const { log, tenures } = replica
  const items: StateText['items'] = {}
  for (const [proposal, { decisions }] of proposals) {
    for (const decision of decisions) {
      for (let index = decision.from; index <= decision.to; index++) {
        const { status } = decision
        const text = status === 'pending' ? status : `${status} ${decision.by}`
        items[versionKey({ proposal, index })] = text
      }
    }
  }
  const names: StateText['names'] = {}
  for (const space of ['file', 'schema'] as const) {
    for await (const [name, { object }] of log.names.allOwned(space)) {
      names[`${space} ${name}`] = object
    }
  }
  const objects: Record<string, { heads: string[]; purged: boolean }> = {}
  for await (const [id, stored] of log.objectTable.all()) {
    const { versions, heads, purged } = rowOfStored(id, stored)
    const keys = heads.map((i) => versionKey((versions[i] as Version).id))
    objects[id] = { heads: keys, purged }
  }
  const voids = [...(await log.voids())].sort()
  const tags: StateText['tags'] = Object.fromEntries(await replica.settledTags())
  const isVoid = new Set<string>(voids)
  for (const { tag, event } of await log.releases()) {
    if (!isVoid.has(event)) tags[tag] ??= event
  }
  const owners = tenures.filter(({ live }) => live).map(({ id, key }) => `${id} ${key}`)
  const requirements = Object.fromEntries(await log.requirements.all())
  return { owners, void: voids, requirements, items, objects, names, tags }
}

/** The same for equal values, whatever the order of their fields. */
export function sortedText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

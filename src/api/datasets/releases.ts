// Releases: who owns a tag, and whether the root it names is the state of its past.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { OwnerEvent } from '../../core/event.ts'
import { type EventId, textOfEventId } from '../../core/ids.ts'
import type { Write } from '../../log/database.ts'
import type { NodeBlocks } from '../../log/node-blocks.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { AbortOptions } from '../../ports.ts'
import { historyOf, pastOf, type RecomputeNeeds, Replay } from '../../replica/recompute.ts'
import type { Replica } from '../../replica/replica.ts'
import type { PastState } from './past-files.ts'
import { readEvent, readEvents } from '../resolve.ts'
import { cidText, timeText } from '../text.ts'
import { treeBlocks } from '../copies/tree-walk.ts'
import type { ReleaseInfo } from '../../contract/api.ts'

type Release = OwnerEvent & { readonly body: { readonly kind: 'release' } }

export interface AuditNeeds extends RecomputeNeeds {
  readonly nodes: NodeBlocks
}

const WRITES_PER_BATCH = 1_000

interface Claim {
  readonly tag: string
  readonly event: EventId
  /** Another release claimed the tag earlier. */
  readonly shadowed: boolean
}

/** All valid releases by tag, the owner of each tag first. */
export async function listReleases(replica: Replica): Promise<ReleaseInfo[]> {
  return infosOf(replica.log, await claimsOf(replica))
}

/** The release that owns the tag. Throws NOT_FOUND. */
export async function showRelease(replica: Replica, tag: string): Promise<ReleaseInfo> {
  const [info] = await infosOf(replica.log, [await ownerOf(replica, tag)])
  if (info === undefined) throw noRelease(tag)
  return info
}

/** The state a tag stands for, and the release that says so. Throws NOT_FOUND. */
export async function resolveTag(
  replica: Replica,
  tag: string,
): Promise<PastState & { readonly event: EventId }> {
  const { event } = await ownerOf(replica, tag)
  const release = await readRelease(replica.log, event)
  return { root: CID.decode(release.body.root), event, heads: release.parents }
}

async function ownerOf(replica: Replica, tag: string): Promise<Claim> {
  const claims = await claimsOf(replica)
  const owner = claims.find((claim) => claim.tag === tag && !claim.shadowed)
  if (owner === undefined) throw noRelease(tag)
  return owner
}

/** Void releases claim nothing; of the others the earliest owns the tag, unless that is settled. */
async function claimsOf(replica: Replica): Promise<Claim[]> {
  const { log } = replica
  const claims = await log.releases()
  const [voids, settled] = await Promise.all([
    log.areVoid(claims.map(({ event }) => event)),
    replica.settledTags(),
  ])
  const byTag = new Map<string, Omit<Claim, 'shadowed'>[]>()
  for (const [i, claim] of claims.entries()) {
    if (voids[i] !== true) byTag.set(claim.tag, [...(byTag.get(claim.tag) ?? []), claim])
  }
  return [...byTag.values()].flatMap((same) => {
    const owner = same.find(({ tag, event }) => settled.get(tag) === event) ?? same[0]
    const others = same.filter((claim) => claim !== owner)
    return [owner as Claim, ...others].map((claim) => ({ ...claim, shadowed: claim !== owner }))
  })
}

async function infosOf(log: DatasetLog, claims: readonly Claim[]): Promise<ReleaseInfo[]> {
  const ids = claims.map(({ event }) => event)
  const [events, audits] = await Promise.all([
    readEvents(log, ids),
    Promise.all(ids.map((id) => log.meta<boolean>(auditName(id)))),
  ])
  return claims.flatMap(({ tag, event: id, shadowed }, i) => {
    const event = events[i]
    if (event === undefined || !isRelease(event)) return []
    const { root, text } = event.body
    const audit = audits[i]
    return {
      tag,
      root: cidText(root),
      event: textOfEventId(id),
      by: event.author,
      at: timeText(event.claimedAtMs),
      ...(text !== undefined && { text }),
      check: audit === undefined ? 'checking' : audit ? 'ok' : 'mismatch',
      shadowed,
    }
  })
}

// ---------------------------------------------------------------- auditing

const auditName = (event: EventId): string => `audit ${event}`

/** The row that says what an audit found; for a release made here, of a root computed here, too. */
export function putAudit(log: DatasetLog, event: EventId, isMatch: boolean): Write {
  return log.putMeta(auditName(event), isMatch)
}

/**
 * Recomputes the root over the past of a release and remembers whether it is the one released.
 * Nothing is remembered while events or proposals of that past are not here: `checking`.
 * Throws NOT_FOUND when there is no such release, CANCELLED, DISK.
 */
export async function auditRelease(
  needs: AuditNeeds,
  replica: Replica,
  event: EventId,
  options: AbortOptions = {},
): Promise<ReleaseInfo['check']> {
  await audit(needs, replica.log, [await readRelease(replica.log, event)], options)
  const isMatch = await replica.log.meta<boolean>(auditName(event))
  return isMatch === undefined ? 'checking' : isMatch ? 'ok' : 'mismatch'
}

/** Audits all valid releases that were not audited yet. Background work. Throws CANCELLED, DISK. */
export async function auditReleases(
  needs: AuditNeeds,
  replica: Replica,
  options: AbortOptions = {},
): Promise<void> {
  const claims = await claimsOf(replica)
  const ids = claims.map(({ event }) => event)
  const events = await readEvents(replica.log, ids)
  const releases = events.filter((event) => event !== undefined && isRelease(event)) as Release[]
  await audit(needs, replica.log, releases, options)
}

/** Releases that follow each other share one replay: its cost is that of the history, not of each past. */
async function audit(
  needs: AuditNeeds,
  log: DatasetLog,
  releases: readonly Release[],
  options: AbortOptions,
): Promise<void> {
  const known = await Promise.all(releases.map(({ id }) => log.meta<boolean>(auditName(id))))
  const unknown = releases.filter((_, i) => known[i] === undefined)
  let replay: Replay | undefined
  let taken: readonly EventId[] = []
  try {
    for (const { id, parents, body } of unknown.sort((a, b) => a.depth - b.depth)) {
      const past = await pastOf(log, parents)
      if (!taken.every((head) => past.has(head))) {
        await replay?.close()
        replay = undefined
      }
      replay ??= await Replay.open(needs, log.id, options)
      await replay.take(historyOf(log, parents))
      taken = parents
      const { snapshot, isComplete } = await replay.state()
      if (snapshot === undefined || !isComplete) continue
      const isMatch = snapshot.root.equals(CID.decode(body.root))
      if (isMatch) await keepTree(needs.nodes, replay.nodes, snapshot.root)
      await log.commit([putAudit(log, id, isMatch)])
    }
  } finally {
    await replay?.close()
  }
}

/** So that every node serves the roots of releases: to clones, and to whoever pins them. */
async function keepTree(to: NodeBlocks, from: NodeBlocks, root: CID): Promise<void> {
  const writes: Write[] = []
  for await (const { cid, bytes } of treeBlocks(from, root)) {
    writes.push(to.putOf(cid, bytes))
    if (writes.length >= WRITES_PER_BATCH) await to.write(writes.splice(0))
  }
  await to.write(writes)
}

async function readRelease(log: DatasetLog, id: EventId): Promise<Release> {
  const event = await readEvent(log, id)
  if (!isRelease(event)) throw new GonkError('NOT_FOUND', `${textOfEventId(id)} is no release`)
  return event
}

function isRelease(event: { family: string; body?: { kind: string } }): event is Release {
  return event.family === 'owner' && event.body?.kind === 'release'
}

function noRelease(tag: string): GonkError {
  return new GonkError('NOT_FOUND', `no release "${tag}" here`, {
    hint: 'see `gonk-node release list`',
  })
}

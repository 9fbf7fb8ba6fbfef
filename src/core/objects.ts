// Layer C: one object from its accepted versions. All versions stay; one head is canonical. Reads
// the decisions of layer B and nothing else.
import { compareDates } from './accept-date.ts'
import { SCHEMA_MEDIA_TYPE } from './event.ts'
import type { AnnotationValue, FileValue } from './event.ts'
import { type FrozenPrefix, nothingFrozen } from './frozen.ts'
import { compareVersions, type ObjectId, versionKey } from './ids.ts'
import type { NameClaim, ObjectRow, Version } from './state.ts'

/** The versions of an object by index, with links along `base`. */
interface VersionGraph {
  readonly versions: readonly Version[]
  /** Indexes of the bases that are accepted versions of this object. */
  readonly bases: readonly (readonly number[])[]
  readonly successors: readonly (readonly number[])[]
}

/**
 * @param versions the accepted versions of the object, each once, in any order: its create (the id
 *   of the object follows from it) and the operations that name it.
 *
 * An update or delete is active once all its bases are active versions of this object; one without
 * a base never is. An accepted purge is absolute, whatever else is accepted: no value, no claim.
 */
export function objectRowOf(
  id: ObjectId,
  versions: readonly Version[],
  frozen: FrozenPrefix = nothingFrozen,
): ObjectRow {
  const [only] = versions
  if (only === undefined) return { id, versions, active: [], heads: [], purged: false }
  if (versions.length === 1 && only.op === 'create' && frozen.headOf(id) === undefined) {
    return rowOfCreate(id, only)
  }
  const purged = versions.some(({ op }) => op === 'purge')
  const graph = graphOf(versions)
  const active = activeOf(graph)
  const isActive = new Set(active)
  const heads = active.filter((i) => !successorsOf(graph, i).some((next) => isActive.has(next)))
  const canonical = canonicalHead(id, graph, heads, frozen)
  const row = {
    id,
    versions: purged ? graph.versions.map(withoutValue) : graph.versions,
    active,
    heads: canonical === undefined ? [] : [canonical, ...heads.filter((i) => i !== canonical)],
    purged,
  }
  if (purged || canonical === undefined) return row
  const current = versionAt(graph, canonical).value
  if (current === undefined) return row
  const claim = claimOf(id, graph, canonical)
  return { ...row, current, ...(claim !== undefined && { claim }) }
}

/** What nearly every object is: one version, and that its create. */
function rowOfCreate(id: ObjectId, version: Version): ObjectRow {
  const { value } = version
  const carried = nameOf(value)
  return {
    id,
    versions: [version],
    active: [0],
    heads: [0],
    purged: false,
    ...(value && { current: value }),
    ...(carried && { claim: { ...carried, date: version.date, object: id } }),
  }
}

function graphOf(unsorted: readonly Version[]): VersionGraph {
  const versions = unsorted.toSorted(
    (a, b) => compareDates(a.date, b.date) || compareVersions(a.id, b.id),
  )
  const indexOf = new Map(versions.map((version, i) => [versionKey(version.id), i]))
  const successors: number[][] = versions.map(() => [])
  const bases = versions.map(({ base }, i) => {
    const known: number[] = []
    for (const version of base) {
      const index = indexOf.get(versionKey(version))
      if (index === undefined) continue
      known.push(index)
      successors[index]?.push(i)
    }
    return known
  })
  return { versions, bases, successors }
}

/** Indexes, ascending, of the versions whose bases lead back to the create without a gap. */
function activeOf(graph: VersionGraph): number[] {
  const waitsFor = graph.versions.map(({ op, base }) =>
    op === 'create' ? 0 : op === 'purge' || base.length === 0 ? Infinity : base.length,
  )
  const active: number[] = waitsFor.flatMap((count, i) => (count === 0 ? [i] : []))
  for (let done = 0; done < active.length; done++) {
    for (const next of successorsOf(graph, active[done] as number)) {
      const count = (waitsFor[next] as number) - 1
      waitsFor[next] = count
      if (count === 0) active.push(next)
    }
  }
  return active.sort((a, b) => a - b)
}

/**
 * Live before tombstone, then the earliest accepted, then the smallest id: versions are sorted so.
 */
function canonicalHead(
  id: ObjectId,
  graph: VersionGraph,
  heads: readonly number[],
  frozen: FrozenPrefix,
): number | undefined {
  const candidates = descendingFromFrozen(id, graph, heads, frozen)
  return candidates.find((i) => versionAt(graph, i).op !== 'delete') ?? candidates[0]
}

/** Sticky base: only heads that are, or build on, the canonical head of the frozen state. */
function descendingFromFrozen(
  id: ObjectId,
  graph: VersionGraph,
  heads: readonly number[],
  frozen: FrozenPrefix,
): readonly number[] {
  const frozenHead = frozen.headOf(id)
  if (frozenHead === undefined) return heads
  const base = graph.versions.findIndex((version) => compareVersions(version.id, frozenHead) === 0)
  const reached = new Set([base])
  for (const i of reached) for (const next of successorsOf(graph, i)) reached.add(next)
  const candidates = heads.filter((i) => reached.has(i))
  if (candidates.length === 0) throw new Error(`object ${id}: its frozen head is not active`)
  return candidates
}

/**
 * The name the canonical head carries, dated by the earliest version of the unbroken run that
 * carries it. The run: the versions reached from the head along bases without leaving that name.
 * Where merges give it several first versions (no base of which is in the run), the one accepted
 * first dates it.
 */
function claimOf(id: ObjectId, graph: VersionGraph, head: number): NameClaim | undefined {
  const carried = nameOf(versionAt(graph, head).value)
  if (carried === undefined) return undefined
  const carries = (i: number) => {
    const other = nameOf(versionAt(graph, i).value)
    return other?.name === carried.name && other.space === carried.space
  }
  const run = new Set([head])
  let first: number | undefined
  for (const i of run) {
    const before = (graph.bases[i] as readonly number[]).filter(carries)
    for (const base of before) run.add(base)
    if (before.length === 0 && (first === undefined || i < first)) first = i
  }
  return { ...carried, date: versionAt(graph, first as number).date, object: id }
}

/** Only files carry names; schemas have a space of their own. */
function nameOf(
  value: FileValue | AnnotationValue | undefined,
): Pick<NameClaim, 'space' | 'name'> | undefined {
  if (value?.type !== 'file') return undefined
  return { space: value.mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'file', name: value.name }
}

function versionAt(graph: VersionGraph, i: number): Version {
  return graph.versions[i] as Version
}

function successorsOf(graph: VersionGraph, i: number): readonly number[] {
  return graph.successors[i] as readonly number[]
}

function withoutValue({ id, date, op, base }: Version): Version {
  return { id, date, op, base }
}

// The size of a file's DAG from the size of its content alone: what a directory link says as Tsize.
// Import settings `unixfs-v1-2025`: raw leaves of 1 MiB, balanced tree, 1,024 links a node.
import { linkSerializedSize, varintLen } from 'ipfs-unixfs-importer/utils'

const CHUNK_BYTES = 1024 * 1024
const LINKS_MAX = 1024
const CID_BYTES = 36

/** Nodes of one size, side by side. */
interface Run {
  readonly nodes: number
  /** Content under each node. */
  readonly fileBytes: number
  /** The node's block and all blocks under it. */
  readonly dagBytes: number
}

/**
 * Bytes of all blocks of a file of `sizeBytes`, repeated blocks counted each time, exactly as the
 * importer sums them. Never above 2^53 - 1: sizes are claims, and a claim must not break a directory.
 */
export function dagSizeOf(sizeBytes: number): number {
  const whole = Math.floor(sizeBytes / CHUNK_BYTES)
  const rest = sizeBytes % CHUNK_BYTES
  let level = [leaves(whole, CHUNK_BYTES), leaves(rest > 0 ? 1 : 0, rest)].filter(hasNodes)
  while (nodesIn(level) > 1) level = parentsOf(level)
  return level[0]?.dagBytes ?? 0
}

/** `a + b`, at most 2^53 - 1, which is the greatest Tsize that can be written. */
export function addSizes(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER)
}

function leaves(nodes: number, bytes: number): Run {
  return { nodes, fileBytes: bytes, dagBytes: bytes }
}

/** A level is a run of full nodes and at most one smaller last node, and so is the level above it. */
function parentsOf(level: readonly Run[]): Run[] {
  const [full, last] = level as [Run, Run | undefined]
  const whole = Math.floor(full.nodes / LINKS_MAX)
  const rest = [{ ...full, nodes: full.nodes % LINKS_MAX }, ...(last ? [last] : [])].filter(
    hasNodes,
  )
  const parents = [{ ...parentOf([{ ...full, nodes: LINKS_MAX }]), nodes: whole }]
  if (rest.length > 0) parents.push(parentOf(rest))
  return parents.filter(hasNodes)
}

/** One node over all of `children`: dag-pb links without names, then UnixFS type, size, block sizes. */
function parentOf(children: readonly Run[]): Run {
  const fileBytes = sum(children, (run) => run.nodes * run.fileBytes)
  const linksBytes = sum(
    children,
    (run) => run.nodes * linkSerializedSize(0, CID_BYTES, run.dagBytes),
  )
  const unixfsBytes =
    2 +
    1 +
    varintLen(fileBytes) +
    sum(children, (run) => run.nodes * (1 + varintLen(run.fileBytes)))
  const blockBytes = linksBytes + 1 + varintLen(unixfsBytes) + unixfsBytes
  const dagBytes = addSizes(
    blockBytes,
    sum(children, (run) => run.nodes * run.dagBytes),
  )
  return { nodes: 1, fileBytes, dagBytes }
}

function hasNodes(run: Run): boolean {
  return run.nodes > 0
}

function nodesIn(level: readonly Run[]): number {
  return level.reduce((total, run) => total + run.nodes, 0)
}

function sum(runs: readonly Run[], of: (run: Run) => number): number {
  return runs.reduce((total, run) => addSizes(total, of(run)), 0)
}

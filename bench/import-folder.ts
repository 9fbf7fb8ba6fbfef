// A bare UnixFS import of a flat folder: the importer, a blockstore, and nothing of ours.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Blockstore } from 'interface-blockstore'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import type { CID } from 'multiformats/cid'

/** @returns the CID of the directory. */
export async function importFolder(
  folder: string,
  blockstore: Pick<Blockstore, 'put' | 'get'>,
  read: (path: string) => Promise<Uint8Array>,
): Promise<CID> {
  const source = (async function* () {
    for (const name of (await readdir(folder)).sort()) {
      const content = (async function* () {
        yield await read(join(folder, name))
      })()
      yield { path: name, content }
    }
  })()
  let root: CID | undefined
  const settings = {
    cidVersion: 1,
    rawLeaves: true,
    reduceSingleLeafToSelf: true,
    wrapWithDirectory: true,
    chunker: fixedSize({ chunkSize: 1 << 20 }),
    layout: balanced({ maxChildrenPerNode: 1024 }),
  } as const
  for await (const { cid } of importer(source, blockstore, settings)) root = cid
  if (root === undefined) throw new Error(`${folder} is empty`)
  return root
}

// The yardstick of `add` with small files: a bare import into the kind of blockstore a node has.
import { readFile } from 'node:fs/promises'
import { FsBlockstore } from 'blockstore-fs'
import { importFolder } from '../import-folder.ts'
import { serve } from '../worker.ts'

const methods = {
  /** Imports `folder` into a new blockstore at `blocks`. @returns seconds. */
  async import(folder: string, blocks: string): Promise<number> {
    const blockstore = new FsBlockstore(blocks)
    await blockstore.open()
    const startMs = performance.now()
    await importFolder(folder, blockstore, (path) => readFile(path))
    return (performance.now() - startMs) / 1000
  },
}

export type ImportMethods = typeof methods

serve(methods)

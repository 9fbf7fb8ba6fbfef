// Folders of files for tests: made from a seed, and compared byte by byte.
import { createCipheriv, createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

/** `count` bytes that are the same for the same seed. */
export function bytesOf(seed: string, count: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(count))
}

export async function writeFiles(
  dir: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<string> {
  await mkdir(dir, { recursive: true })
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), bytes)
  }
  return dir
}

/** `count` files of `bytes` bytes, named `PREFIX-0001`. */
export function manyFiles(prefix: string, count: number, bytes: number): Record<string, Buffer> {
  const names = Array.from({ length: count }, (_, i) => `${prefix}-${String(i).padStart(4, '0')}`)
  return Object.fromEntries(names.map((name) => [name, bytesOf(name, bytes)]))
}

/** Small, empty, nested, oddly named, and one of several blocks. */
export function variedFiles(): Record<string, Uint8Array> {
  return {
    ...manyFiles('plates/cell', 24, 5_000),
    empty: new Uint8Array(0),
    'deep/er/and/deeper.txt': bytesOf('deep', 10),
    'Größe – 血.bin': bytesOf('odd', 1_000),
    '.hidden': bytesOf('hidden', 99),
    'large.tif': bytesOf('large', 3 * 1024 * 1024 + 17),
  }
}

/** Sha-256 of every file under a folder by its relative name, sorted. */
export async function digestsOf(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .sort()
  const digests: Record<string, string> = {}
  for (const name of names) {
    digests[name] = createHash('sha256')
      .update(await readFile(join(dir, name)))
      .digest('hex')
  }
  return digests
}

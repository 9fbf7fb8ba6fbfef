// What a backup says of itself: backup.json, which is written last and in one step, and makes the
// folder a backup. It comes from outside: nothing it names lies anywhere but in the backup.
import { createHash } from 'node:crypto'
import { open, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GonkError } from '../core/errors.ts'
import { onDisk } from '../files/disk-error.ts'
import { writePrivateFile } from '../private-file.ts'

/** A file below the folder {@link Manifest.state}. */
export interface ListedFile {
  /** `log/000005.ldb`, `users/ada.json`, `config.yaml`, … */
  readonly path: string
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
}

export interface BackedUpDataset {
  readonly id: string
  readonly name: string
  /** CID of its root at the moment of the backup; absent where it could not be computed. */
  readonly root?: string
}

export interface Manifest {
  readonly format: 1
  /** The moment that it shows; RFC 3339. */
  readonly at: string
  /** Of the program that made it. */
  readonly version: string
  readonly peerId: string
  /** 64 hex digits: the key of the node, which tells whose backup it is. */
  readonly publicKey: string
  /** The signing keys and the users are in it. */
  readonly keys: boolean
  readonly datasets: readonly BackedUpDataset[]
  /** Of the database. */
  readonly rows: number
  /** Name of the folder that holds `files`. */
  readonly state: string
  readonly files: readonly ListedFile[]
  /** Of content; `blocks.txt` lists them. `missing`: the home should have had them, and had not. */
  readonly blocks: { readonly count: number; readonly bytes: number; readonly missing: number }
}

/** What a folder holds beside `backup.json`. */
export const BLOCKS_FOLDER = 'blocks'
export const BLOCK_LIST = 'blocks.txt'
export const stateFolder = /^state-[0-9a-f]{16}$/
export const manifestFileOf = (directory: string) => join(directory, 'backup.json')

const FORMAT = 1
const MANIFEST_BYTES_MAX = 64 << 20
const PATH =
  /^(((log|users)\/[A-Za-z0-9_][A-Za-z0-9._-]{0,99})|log\.format|identity\.json|config\.yaml|blocks\.txt)$/

/** Makes the folder the backup that the manifest describes. Everything it lists is on disk. Throws DISK. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const text = JSON.stringify({ ...manifest, digest: digestOf(manifest) }, null, 1)
  const file = manifestFileOf(directory)
  await onDisk(writePrivateFile(file, `${text}\n`), file)
}

/** Undefined where there is none. Throws HOME_FORMAT, HOME_DAMAGED, DISK. */
export async function findManifest(directory: string): Promise<Manifest | undefined> {
  const file = manifestFileOf(resolve(directory))
  let text: string
  try {
    const found = await stat(file)
    if (!found.isFile()) throw damaged(file, 'it is no file')
    if (found.size > MANIFEST_BYTES_MAX) throw damaged(file, 'it is too large')
    text = await readFile(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    return onDisk(Promise.reject(error as Error), file)
  }
  return parseManifest(text, file)
}

/** Throws NOT_FOUND, and what {@link findManifest} throws. */
export async function readManifest(directory: string): Promise<Manifest> {
  const manifest = await findManifest(directory)
  if (manifest !== undefined) return manifest
  throw new GonkError('NOT_FOUND', `${resolve(directory)} is no backup: it has no backup.json`, {
    hint: 'a backup that was cut off is none: repeat `gonk-node backup`, or name another folder',
  })
}

/** What is wrong with a backup. */
export function damaged(file: string, what: string): GonkError {
  return new GonkError('HOME_DAMAGED', `${file} of the backup is damaged: ${what}`, {
    hint: 'use another copy of the backup',
  })
}

/** SHA-256 of a file in hex, and its size. With `sync`, it is on disk once resolved. Throws DISK. */
export async function digestOfFile(
  file: string,
  { sync = false } = {},
): Promise<{ sizeBytes: number; sha256: string }> {
  const sum = createHash('sha256')
  let sizeBytes = 0
  const work = async () => {
    await using handle = await open(file, 'r')
    for await (const chunk of handle.createReadStream({ autoClose: false })) {
      sum.update(chunk as Uint8Array)
      sizeBytes += (chunk as Uint8Array).length
    }
    if (sync) await handle.sync()
  }
  await onDisk(work(), file)
  return { sizeBytes, sha256: sum.digest('hex') }
}

function digestOf(manifest: Manifest): string {
  return createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
}

function hasDigest(manifest: Manifest, digest: unknown): boolean {
  try {
    return digest === digestOf(manifest)
  } catch {
    // Nested so deep that it cannot be written: nothing of ours.
    return false
  }
}

/** What `backup.json` says; `file` names it in errors. Throws HOME_FORMAT, HOME_DAMAGED. */
export function parseManifest(text: string, file: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(file, 'it is not JSON')
  }
  const { digest, ...manifest } = (value ?? {}) as Manifest & { digest?: unknown }
  if (manifest.format !== FORMAT && typeof manifest.format === 'number') {
    throw new GonkError(
      'HOME_FORMAT',
      `${file} has format ${String(manifest.format)}; this version reads ${FORMAT}`,
    )
  }
  if (!hasDigest(manifest, digest)) throw damaged(file, 'its digest is not that of what it says')
  if (!isManifest(manifest)) throw damaged(file, 'a field is missing or wrong')
  return manifest
}

function isManifest(value: Manifest): boolean {
  const { at, peerId, publicKey, keys, datasets, state, files, blocks } = value
  return (
    value.format === FORMAT &&
    [at, peerId, value.version].every(isText) &&
    typeof publicKey === 'string' &&
    /^[0-9a-f]{64}$/.test(publicKey) &&
    typeof keys === 'boolean' &&
    isCount(value.rows) &&
    typeof state === 'string' &&
    stateFolder.test(state) &&
    isListOf(datasets, ({ id, name, root }) => [id, name, root ?? ''].every(isText)) &&
    isListOf(files, isListedFile) &&
    isObject(blocks) &&
    [blocks.count, blocks.bytes, blocks.missing].every(isCount)
  )
}

const isListedFile = ({ path, sizeBytes, sha256 }: ListedFile): boolean =>
  isText(path) && PATH.test(path) && isCount(sizeBytes) && /^[0-9a-f]{64}$/.test(String(sha256))

const isText = (value: unknown) => typeof value === 'string' && value.length <= 1_000
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0
const isObject = (value: unknown) => typeof value === 'object' && value !== null

function isListOf<T>(value: readonly T[], isOne: (item: T) => boolean): boolean {
  return Array.isArray(value) && value.every((item: T) => isObject(item) && isOne(item))
}

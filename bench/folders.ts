// Folders of files to add, clone and compare with. Bytes are random, so that nothing is found twice.
import { randomBytes } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'

export interface Shape {
  readonly files: number
  readonly bytesEach: number
}

const WRITE_BYTES = 4 << 20
const FILES_AT_ONCE = 16

/** Makes `dir` with files `NUMBER.bin`. */
export async function makeFolder(dir: string, { files, bytesEach }: Shape): Promise<string> {
  await mkdir(dir, { recursive: true })
  for (let i = 0; i < files; i += FILES_AT_ONCE) {
    const some = Array.from({ length: Math.min(FILES_AT_ONCE, files - i) }, (_, k) => i + k)
    await Promise.all(some.map((number) => makeFile(join(dir, nameOf(number)), bytesEach)))
  }
  return dir
}

export const nameOf = (number: number): string => `${String(number).padStart(7, '0')}.bin`

async function makeFile(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < bytes; at += WRITE_BYTES) {
      await file.write(randomBytes(Math.min(WRITE_BYTES, bytes - at)))
    }
  } finally {
    await file.close()
  }
}

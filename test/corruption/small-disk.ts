// A small disk of its own, in memory: mounted in a private mount namespace, so that it goes with the process
// that holds it. Needs root, and `unshare`, `nsenter` and `mount`.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why there can be none here; undefined where there can. */
export function whyNoDisk(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a disk'
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'no mount namespaces here'
  }
}

export class SmallDisk {
  /** As every process of this machine may use it. */
  readonly dir: string
  readonly #pid: number
  readonly #mountPoint: string
  readonly #end: () => Promise<void>

  private constructor(pid: number, mountPoint: string, end: () => Promise<void>) {
    this.dir = `/proc/${pid}/root${mountPoint}`
    this.#pid = pid
    this.#mountPoint = mountPoint
    this.#end = end
  }

  static async mount(megabytes: number): Promise<SmallDisk> {
    const mountPoint = await mkdtemp(join(tmpdir(), 'gonk-disk-'))
    const script = `mount -t tmpfs -o size=${megabytes}m tmpfs "$0" && echo ready && exec cat`
    const holder = spawn('unshare', ['-m', 'sh', '-c', script, mountPoint], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(holder, 'close')
    await once(holder.stdout, 'data')
    return new SmallDisk(holder.pid as number, mountPoint, async () => {
      holder.stdin.end()
      await ended
      await rm(mountPoint, { recursive: true, force: true })
    })
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.dir)
    return bavail * bsize
  }

  /** Leaves so many bytes free. */
  async fill(leaveBytes: number): Promise<void> {
    const bytes = (await this.freeBytes()) - leaveBytes
    await writeFile(join(this.dir, 'ballast'), Buffer.alloc(Math.max(0, bytes), 1))
  }

  /** Takes away what {@link fill} wrote. */
  async free(): Promise<void> {
    await rm(join(this.dir, 'ballast'), { force: true })
  }

  /** Only while no process has a file of it open for writing. */
  remount(how: 'ro' | 'rw'): void {
    const enter = ['--target', String(this.#pid), '--mount', 'mount', '-o', `remount,${how}`]
    execFileSync('nsenter', [...enter, this.#mountPoint])
  }

  close(): Promise<void> {
    return this.#end()
  }
}

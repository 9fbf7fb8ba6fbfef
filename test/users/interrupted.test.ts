// A process that ends in the middle of a change: the file system stops at the n-th step, for every n.
import type * as FileSystem from 'node:fs/promises'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import type { Users } from '../../src/users/users.ts'
import { makeUsersHome, type UsersHome } from './make-users.ts'

/** Steps taken since, and how many may be. */
const disk = vi.hoisted(() => ({ steps: [] as string[], left: Infinity }))

vi.mock('node:fs/promises', async (importActual) => {
  const actual = await importActual<typeof FileSystem>()
  const step = <T>(name: string, work: () => Promise<T>, cutOff?: () => Promise<unknown>) => {
    disk.steps.push(name)
    if (disk.left-- > 0) return work()
    return (cutOff?.() ?? Promise.resolve()).then(() => {
      throw Object.assign(new Error('the process ended'), { code: 'EIO', syscall: name })
    })
  }
  return {
    ...actual,
    mkdir: (...args: Parameters<typeof actual.mkdir>) => step('mkdir', () => actual.mkdir(...args)),
    rename: (...args: Parameters<typeof actual.rename>) =>
      step('rename', () => actual.rename(...args)),
    async open(path: string, flags: string, mode?: number) {
      if (flags === 'w') {
        const file = await step('open', () => actual.open(path, flags, mode))
        return {
          writeFile: (text: string) =>
            step(
              'write',
              () => file.writeFile(text),
              () => file.writeFile(text.slice(0, text.length / 2)),
            ),
          sync: () => step('sync', () => file.sync()),
          close: () => file.close(),
        }
      }
      const file = await actual.open(path, flags, mode)
      return (await file.stat()).isDirectory()
        ? {
            sync: () => step('sync directory', () => file.sync()),
            close: () => file.close(),
          }
        : file
    },
  }
})

afterEach(() => {
  disk.left = Infinity
})

async function prepared(passphrase?: string) {
  const home = await makeUsersHome()
  const users = await home.open(passphrase)
  const ada = await users.add('ada', 'member')
  return { home, users, ada }
}

const oneWrite = ['open', 'write', 'sync', 'rename', 'sync directory']

it('a change is told after the file, its name and the directory are on disk', async () => {
  const home = await makeUsersHome()
  const users = await home.open()
  for (const [change, steps] of [
    [() => users.add('ada', 'member'), ['mkdir', 'sync directory', ...oneWrite]],
    [() => users.rekey('ada'), ['mkdir', ...oneWrite]],
    [() => users.remove('ada'), ['mkdir', ...oneWrite]],
  ] as const) {
    disk.steps.length = 0
    await change()
    expect(disk.steps).toEqual(steps)
  }
})

/** Runs `change` once for each step at which it can be cut off. */
async function cutOffEverywhere(
  change: (users: Users) => Promise<unknown>,
  check: (then: Users, before: Awaited<ReturnType<typeof prepared>>) => Promise<void> | void,
): Promise<number> {
  for (let step = 0; ; step++) {
    const before = await prepared()
    disk.left = step
    const outcome = await change(before.users).then(
      () => 'told',
      (error: unknown) => error,
    )
    const wasCutOff = disk.left < 0
    disk.left = Infinity
    if (!wasCutOff) return step
    expect(outcome).toMatchObject({ code: 'DISK' })
    const then = await before.home.open()
    expect(before.home.log.filter((line) => line.includes('HOME_DAMAGED'))).toEqual([])
    expect((await readdir(before.home.dir)).filter((name) => !name.endsWith('.json'))).toEqual([])
    await check(then, before)
  }
}

it('a user whose making was cut off is there whole or not at all, and can be made', async () => {
  const steps = await cutOffEverywhere(
    (users) => users.add('bob', 'member'),
    async (then, { ada }) => {
      expect(then.authenticate(ada.apiKey)).toEqual(ada.user)
      const bob = then.find('bob')
      if (bob) expect(then.signerOf('bob').publicKey).toBe(bob.publicKey)
      else await then.add('bob', 'member')
    },
  )
  expect(steps).toBe(6)
})

it('an API key whose change was cut off is the old one, or one that nobody was told', async () => {
  let kept = 0
  const steps = await cutOffEverywhere(
    (users) => users.rekey('ada'),
    async (then, { ada }) => {
      if (then.authenticate(ada.apiKey)) kept++
      const { apiKey } = await then.rekey('ada')
      expect(then.authenticate(apiKey)).toEqual(ada.user)
    },
  )
  expect([steps, kept]).toEqual([6, 5])
})

it('a removal that was cut off has happened or has not', async () => {
  await cutOffEverywhere(
    (users) => users.remove('ada'),
    (then, { ada }) => {
      const { removed } = then.find('ada') ?? {}
      expect(then.authenticate(ada.apiKey) === undefined).toBe(removed)
    },
  )
})

it('sealing that was cut off goes on at the next start, and loses no key', async () => {
  for (let step = 0, wasCutOff = true; wasCutOff; step++) {
    const { home, users } = await prepared()
    await users.add('bob', 'member')
    disk.left = step
    const outcome = await home.open('horse').catch((error: unknown) => error)
    wasCutOff = disk.left < 0
    disk.left = Infinity
    if (wasCutOff) expect(outcome).toMatchObject({ code: 'DISK' })
    const then = await home.open('horse')
    expect(then.list()).toEqual(users.list())
    for (const name of ['ada', 'bob']) {
      expect(then.signerOf(name).publicKey).toBe(users.signerOf(name).publicKey)
    }
    expect((await home.open()).list()).toMatchObject([{ locked: true }, { locked: true }])
  }
})

it('what a write left that was cut off goes at the next start, for it may hold a seed', async () => {
  const { home } = await prepared()
  const stray = join(home.dir, 'bob.json.123.tmp')
  await writeFile(stray, await readFile(join(home.dir, 'ada.json')))
  await home.open()
  expect(await readdir(home.dir)).toEqual(['ada.json'])
  expect(home.log).toEqual([])
})

it('a directory that cannot be used is DISK, and says which', async () => {
  const home: UsersHome = await makeUsersHome()
  await writeFile(home.dir, 'a file')
  await chmod(home.dir, 0o600)
  await expect(home.open()).rejects.toMatchObject({
    code: 'DISK',
    message: expect.stringContaining(home.dir),
  })
})

import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/crypto.ts'
import { sealerOf } from '../../src/users/seal.ts'
import { hasSealedUsers } from '../../src/users/user-store.ts'
import type { Users } from '../../src/users/users.ts'
import { makeUsersHome, type UsersHome } from './make-users.ts'

const right = 'correct horse battery staple'
const wrong = 'incorrect horse'
const locked = expect.objectContaining({ code: 'LOCKED' })

const fileOf = (home: UsersHome, name: string) => join(home.dir, `${name}.json`)
const read = async (home: UsersHome, name: string) =>
  JSON.parse(await readFile(fileOf(home, name), 'utf8'))
const write = (home: UsersHome, name: string, value: object) =>
  writeFile(fileOf(home, name), JSON.stringify(value))

const signature = (users: Users, name: string) =>
  Buffer.from(users.signerOf(name).sign(Buffer.from('x'))).toString('hex')

describe('with a passphrase', () => {
  it('a new signing key is on disk in sealed form only, and opens with the passphrase', async () => {
    const home = await makeUsersHome()
    expect(await hasSealedUsers(home.dir)).toBe(false)
    const users = await home.open(right)
    const { user } = await users.add('ada', 'member')
    expect(user.locked).toBe(false)
    const scheme = 'scrypt-32768-8-3/aes-256-gcm'
    expect((await read(home, 'ada')).seed).toMatchObject({ scheme })
    expect(await hasSealedUsers(home.dir)).toBe(true)
    const again = await home.open(right)
    expect(again.find('ada')).toEqual(user)
    expect(signature(again, 'ada')).toBe(signature(users, 'ada'))
  })

  it('what was in plain is sealed when the node starts, and is the same key', async () => {
    const home = await makeUsersHome()
    const plain = await home.open()
    for (const name of ['ada', 'bob']) await plain.add(name, 'member')
    await plain.remove('bob')
    const seeds = await Promise.all(
      ['ada', 'bob'].map(async (name) => (await read(home, name)).seed),
    )
    const sealed = await home.open(right)
    expect(sealed.list()).toEqual(plain.list())
    expect(signature(sealed, 'ada')).toBe(signature(plain, 'ada'))
    for (const [i, name] of ['ada', 'bob'].entries()) {
      expect(await readFile(fileOf(home, name), 'utf8')).not.toContain(seeds[i])
    }
    expect((await home.open()).list()).toMatchObject([{ locked: true }, { locked: true }])
    expect(home.log.join('')).not.toContain(seeds[0])
  })

  it('one derivation opens them all, and no two are sealed alike', async () => {
    const home = await makeUsersHome()
    const first = await home.open()
    for (const name of ['ada', 'bob']) await first.add(name, 'member')
    const second = await home.open(right)
    await second.add('eve', 'member')
    const boxes = await Promise.all(['ada', 'bob', 'eve'].map((name) => read(home, name)))
    expect(new Set(boxes.map(({ seed }) => seed.salt)).size).toBe(1)
    expect(new Set(boxes.map(({ seed }) => seed.nonce)).size).toBe(3)
  })

  it('accents may be typed in either way', async () => {
    const home = await makeUsersHome()
    await (await home.open('Zo\u00eb')).add('ada', 'member')
    expect((await home.open('Zoe\u0308')).find('ada')?.locked).toBe(false)
  })
})

describe.each([
  ['no passphrase', undefined],
  ['the wrong passphrase', wrong],
])('with sealed keys and %s', (_, passphrase) => {
  async function lockedHome() {
    const home = await makeUsersHome()
    const told = await (await home.open(right)).add('ada', 'member')
    return { home, ...told, users: await home.open(passphrase) }
  }

  it('users can ask but not sign, and the log says who', async () => {
    const { home, user, apiKey, users } = await lockedHome()
    expect(users.authenticate(apiKey)).toEqual({ ...user, locked: true })
    expect(() => users.signerOf('ada')).toThrow(locked)
    expect(JSON.parse(home.log.at(-1) ?? '')).toMatchObject({ code: 'LOCKED', users: ['ada'] })
  })

  it('nobody is added, for their key could not be sealed as the others are', async () => {
    const { home, user, users } = await lockedHome()
    await expect(users.add('bob', 'member')).rejects.toThrow(locked)
    expect((await home.open(right)).list()).toEqual([user])
  })

  it('users can be rekeyed and removed, and their keys stay as they were', async () => {
    const { home, apiKey, users } = await lockedHome()
    const { seed } = await read(home, 'ada')
    const again = await users.rekey('ada')
    expect(users.authenticate(apiKey)).toBeUndefined()
    expect(users.authenticate(again.apiKey)?.name).toBe('ada')
    const opened = await home.open(right)
    expect(opened.find('ada')?.locked).toBe(false)
    await users.remove('ada')
    expect((await read(home, 'ada')).seed).toEqual(seed)
  })

  it('keys that are in plain stay in plain', async () => {
    const { home, users } = await lockedHome()
    const other = await makeUsersHome()
    await (await other.open()).add('bob', 'member')
    await write(home, 'bob', await read(other, 'bob'))
    const again = await home.open(passphrase)
    expect(users.find('ada')?.locked).toBe(true)
    expect(again.list()).toMatchObject([{ locked: true }, { name: 'bob', locked: false }])
    expect(await read(home, 'bob')).toEqual(await read(other, 'bob'))
    expect((await home.open(right)).list()).toMatchObject([{ locked: false }, { locked: false }])
    expect((await read(home, 'bob')).seed).toMatchObject({
      salt: (await read(home, 'ada')).seed.salt,
    })
  })

  it('what was tried shows nowhere', async () => {
    const { home, users } = await lockedHome()
    const errors = [() => users.signerOf('ada'), () => users.signerOf('bob')].map((sign) => {
      try {
        return sign()
      } catch (error) {
        return error
      }
    })
    const said = await users.add('bob', 'member').catch((error: unknown) => error)
    for (const error of [...errors, said]) {
      expect(error).toBeInstanceOf(Error)
      const { stack, cause } = error as Error
      expect(`${stack} ${String(cause)} ${JSON.stringify(error)}`).not.toMatch(/horse/)
    }
    expect(home.log.join('\n')).not.toMatch(/horse/)
  })
})

describe('a sealed file that was changed', () => {
  it('opens for no other name and no other key, and leaves the others usable', async () => {
    const home = await makeUsersHome()
    const users = await home.open(right)
    for (const name of ['ada', 'bob', 'eve', 'zed', 'zoe']) await users.add(name, 'member')
    const ada = await read(home, 'ada')
    const bob = await read(home, 'bob')
    const eve = await read(home, 'eve')
    await write(home, 'bob', { ...bob, seed: ada.seed })
    await write(home, 'eve', { ...eve, publicKey: 'ab'.repeat(32) })
    await write(home, 'carl', { ...(await read(home, 'zed')), name: 'carl' })
    await rm(fileOf(home, 'zed'))
    const again = await home.open(right)
    expect(again.list().map(({ name, locked: is }) => [name, is])).toEqual([
      ['ada', false],
      ['bob', true],
      ['carl', true],
      ['eve', true],
      ['zoe', false],
    ])
    expect(() => again.signerOf('bob')).toThrow(locked)
    expect((await again.add('new', 'member')).user.locked).toBe(false)
  })

  it('opens with no bit changed, and not at all in another form', async () => {
    const sealer = sealerOf(right, systemRandom)
    const seed = systemRandom.bytes(32)
    const sealed = await sealer.seal(seed, 'ada')
    expect(await sealer.open(sealed, 'ada')).toEqual(Buffer.from(seed))
    expect(await sealer.open(sealed, 'adb')).toBeUndefined()
    for (const field of ['nonce', 'box'] as const) {
      const bytes = Buffer.from(sealed[field], 'hex')
      for (let i = 0; i < bytes.length; i++) {
        const changed = Buffer.from(bytes)
        changed[i] = (changed[i] ?? 0) ^ 1
        expect(
          await sealer.open({ ...sealed, [field]: changed.toString('hex') }, 'ada'),
        ).toBeUndefined()
      }
    }
    const home = await makeUsersHome()
    const users = await home.open(right)
    for (const name of ['ada', 'bob']) await users.add(name, 'member')
    const bob = await read(home, 'bob')
    const hostile = { ...bob.seed, scheme: 'scrypt-1073741824-8-3/aes-256-gcm' }
    for (const changed of [hostile, { ...bob.seed, box: '' }, { ...bob.seed, salt: 'zz' }, null]) {
      await write(home, 'bob', { ...bob, seed: changed })
      const again = await home.open(right)
      expect(again.list()).toMatchObject([{ name: 'ada', locked: false }])
      await expect(again.rekey('bob')).rejects.toMatchObject({ code: 'HOME_DAMAGED' })
    }
  })
})

import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nodeCrypto, sha256 } from '../../src/crypto.ts'
import { digestOfApiKey, newApiKey } from '../../src/users/api-key.ts'
import type { Role } from '../../src/users/users.ts'
import { makeUsersHome } from './make-users.ts'

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

describe('a user', () => {
  it('is found by name, public key and API key, also after the node starts again', async () => {
    const home = await makeUsersHome()
    const before = await home.open()
    const { user, apiKey } = await before.add('ada', 'admin')
    expect(user).toEqual({
      ...{ name: 'ada', role: 'admin', removed: false, locked: false },
      publicKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect(apiKey).toMatch(/^gk_[A-Za-z0-9]{32}$/)
    for (const users of [before, await home.open()]) {
      expect(users.list()).toEqual([user])
      expect(users.find('ada')).toEqual(user)
      expect(users.byKey(user.publicKey)).toEqual(user)
      expect(users.authenticate(apiKey)).toEqual(user)
      expect(users.signerOf('ada').publicKey).toBe(user.publicKey)
    }
  })

  it('signs with the same key after a restart, and others can verify it', async () => {
    const home = await makeUsersHome()
    const { user } = await (await home.open()).add('ada', 'member')
    const message = new TextEncoder().encode('what ada says')
    const signature = (await home.open()).signerOf('ada').sign(message)
    const key = Buffer.from(user.publicKey, 'hex')
    expect(await nodeCrypto().verify(key, message, signature)).toBe(true)
  })

  it('is kept in a file that only the owner of the node can read, without the API key', async () => {
    const home = await makeUsersHome()
    const { apiKey } = await (await home.open()).add('ada', 'reader')
    const file = join(home.dir, 'ada.json')
    expect([await modeOf(home.dir), await modeOf(file)]).toEqual(['700', '600'])
    const text = await readFile(file, 'utf8')
    expect(text).not.toContain(apiKey)
    const digest = Buffer.from(sha256(new TextEncoder().encode(apiKey))).toString('hex')
    expect(JSON.parse(text)).toMatchObject({ name: 'ada', state: 'active', apiKeySha256: digest })
    await chmod(home.dir, 0o755)
    await home.open()
    expect(await modeOf(home.dir)).toBe('700')
  })

  it('who is unknown cannot be found, changed or signed for', async () => {
    const users = await (await makeUsersHome()).open()
    expect([users.list(), users.find('ada'), users.byKey('ab'.repeat(32))]).toEqual([
      [],
      undefined,
      undefined,
    ])
    await expect(users.rekey('ada')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(users.remove('__proto__')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(() => users.signerOf('ada')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }))
  })

  it('leaves no directory behind where there was never one', async () => {
    const home = await makeUsersHome()
    await home.open('with a passphrase too')
    expect(existsSync(home.dir)).toBe(false)
  })
})

describe('the name of a user', () => {
  const good = ['a', 'Z', '0', '_', '_x', 'a.b', 'a-b', 'A1_.-', 'constructor', '__proto__']
  const bad = [
    ...['', '.', '..', '.a', '-a', '-', 'a/b', '../a', 'a b', ' a', 'a\n', 'a\0', 'ü', 'a\u0301'],
    ...['a:b', 'a\\b', 'a+b', 'a@b', 'a'.repeat(65), '\u{1f600}'],
  ]

  it.each([...good, 'a'.repeat(64)])('%j is one', async (name) => {
    const home = await makeUsersHome()
    const { apiKey } = await (await home.open()).add(name, 'member')
    expect((await home.open()).authenticate(apiKey)?.name).toBe(name)
  })

  it('none of those that files, terminals and URLs would trip over is one', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    for (const name of bad) {
      const error = await users.add(name, 'member').catch((reason: unknown) => reason)
      expect(error, JSON.stringify(name)).toMatchObject({ code: 'BAD_NAME' })
      expect(String(error)).not.toMatch(/[\0\n]/)
    }
    expect(existsSync(home.dir)).toBe(false)
  })

  it('is given once, whatever its capitals, also when the user is gone', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    await users.add('Ada', 'member')
    await users.remove('Ada')
    for (const again of [users, await home.open()]) {
      for (const name of ['Ada', 'ada', 'ADA']) {
        await expect(again.add(name, 'admin')).rejects.toMatchObject({ code: 'EXISTS' })
      }
      expect(again.find('ada')).toBeUndefined()
      expect(again.list()).toMatchObject([{ name: 'Ada', role: 'member' }])
    }
  })

  it('goes with a role that there is', async () => {
    const users = await (await makeUsersHome()).open()
    await expect(users.add('ada', 'root' as Role)).rejects.toMatchObject({ code: 'USAGE' })
    expect(users.list()).toEqual([])
  })
})

describe('the API key of a user', () => {
  it('is replaced by rekey: the old one stops at once, and stays stopped', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    const first = await users.add('ada', 'member')
    const second = await users.rekey('ada')
    expect(second.user).toEqual(first.user)
    for (const now of [users, await home.open()]) {
      expect(now.authenticate(first.apiKey)).toBeUndefined()
      expect(now.authenticate(second.apiKey)).toEqual(first.user)
    }
  })

  it('stops when the user is removed, who keeps name and key and can do nothing', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    const { user, apiKey } = await users.add('ada', 'member')
    const removed = { ...user, removed: true }
    expect(await users.remove('ada')).toEqual(removed)
    expect(await users.remove('ada')).toEqual(removed)
    for (const now of [users, await home.open()]) {
      expect(now.authenticate(apiKey)).toBeUndefined()
      expect(now.byKey(user.publicKey)).toEqual(removed)
      expect(() => now.signerOf('ada')).toThrow(expect.objectContaining({ code: 'NOT_ALLOWED' }))
      await expect(now.rekey('ada')).rejects.toMatchObject({ code: 'NOT_ALLOWED' })
    }
  })

  it('is not guessed by anything of another form or length', async () => {
    const users = await (await makeUsersHome()).open()
    const { apiKey } = await users.add('ada', 'member')
    const wrong = ['', 'gk_', apiKey.slice(3), `${apiKey} `, ` ${apiKey}`, apiKey.toLowerCase()]
    for (const key of [...wrong, `${apiKey}A`, apiKey.replace('gk_', 'GK_'), 'x'.repeat(1e6)]) {
      if (key !== apiKey) expect(users.authenticate(key)).toBeUndefined()
    }
    fc.assert(fc.property(fc.string(), (key) => users.authenticate(key) === undefined))
  })

  it('uses each letter as often as any other', () => {
    const counts = new Map<string, number>()
    // Every byte as often as any other, and none left over: 4 rounds of the 248 that count.
    let next = 0
    const random = { bytes: () => Uint8Array.of(next++ % 256) }
    for (let i = 0; i < 31; i++) {
      for (const letter of newApiKey(random).slice(3)) {
        counts.set(letter, (counts.get(letter) ?? 0) + 1)
      }
    }
    expect(counts.size).toBe(62)
    expect(new Set(counts.values())).toEqual(new Set([16]))
  })

  it('is digested as a whole', () => {
    // sha256sum of these 35 bytes.
    const key = `gk_${'a'.repeat(32)}`
    expect(digestOfApiKey(key)).toBe(Buffer.from(sha256(Buffer.from(key))).toString('hex'))
    expect(digestOfApiKey(`gk_${'a'.repeat(31)}-`)).toBeUndefined()
  })
})

describe('changes at the same time', () => {
  it('give a name to one of those who ask for it', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    const asked = ['ada', 'Ada', 'ada', 'bob'].map((name) => users.add(name, 'member'))
    const outcomes = await Promise.allSettled(asked)
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'rejected', 'rejected', 'fulfilled'],
    ])
    expect((await readdir(home.dir)).toSorted()).toEqual(['ada.json', 'bob.json'])
  })

  it('leave the API key told last, and a removed user removed', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    await users.add('ada', 'member')
    const keys = await Promise.all([users.rekey('ada'), users.rekey('ada'), users.rekey('ada')])
    const works = keys.map(({ apiKey }) => users.authenticate(apiKey) !== undefined)
    expect(works).toEqual([false, false, true])
    await Promise.allSettled([users.remove('ada'), users.rekey('ada')])
    expect(users.list()).toMatchObject([{ removed: true }])
    expect(await home.open().then((again) => again.list())).toEqual(users.list())
  })

  it('random ones end in memory as they end on disk', async () => {
    const step = fc.tuple(
      fc.constantFrom('add', 'rekey', 'remove'),
      fc.constantFrom('ada', 'Ada', 'bob', 'c'),
    )
    const steps = fc.array(step, { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const home = await makeUsersHome()
        const users = await home.open()
        const keys = new Map<string, string>()
        await Promise.allSettled(
          list.map(async ([what, name]) => {
            if (what === 'remove') return users.remove(name)
            const told = what === 'add' ? users.add(name, 'member') : users.rekey(name)
            return keys.set(name, (await told).apiKey)
          }),
        )
        const again = await home.open()
        expect(again.list()).toEqual(users.list())
        for (const { name, removed } of users.list()) {
          const who = again.authenticate(keys.get(name) ?? '')
          expect(who?.name).toBe(removed ? undefined : name)
        }
      }),
      { numRuns: 25 },
    )
  })
})

describe('files that are no users', () => {
  it('are named in the log and by whoever asks for them; the others go on', async () => {
    const home = await makeUsersHome()
    const users = await home.open()
    const names = ['ada', 'bob', 'cut', 'eve', 'old', 'key', 'big']
    const apiKeys = new Map<string, string>()
    for (const name of names) apiKeys.set(name, (await users.add(name, 'member')).apiKey)
    const file = (name: string) => join(home.dir, `${name}.json`)
    const of = async (name: string) => readFile(file(name), 'utf8')
    await writeFile(file('cut'), (await of('cut')).slice(0, -40))
    await writeFile(file('eve'), await of('bob'))
    await writeFile(file('old'), (await of('old')).replace('"format": 1', '"format": 2'))
    await writeFile(file('key'), (await of('key')).replace(/"publicKey": "[^"]+"/, fieldOf('ab')))
    await writeFile(file('big'), ' '.repeat(1e6) + (await of('big')))
    await writeFile(file('copy'), (await of('ada')).replace('"name": "ada"', '"name": "copy"'))
    await mkdir(file('folder'))
    await writeFile(join(home.dir, 'notes.txt'), 'not a user')
    await writeFile(join(home.dir, '.DS_Store'), 'whatever')
    const again = await home.open()
    expect(again.list().map(({ name }) => name)).toEqual(['ada', 'bob'])
    const damaged = ['cut', 'eve', 'old', 'key', 'big', 'copy', 'folder']
    for (const name of damaged) {
      const error = { code: 'HOME_DAMAGED', message: expect.stringContaining(`${name}.json`) }
      await expect(again.rekey(name)).rejects.toMatchObject(error)
      await expect(again.add(name, 'member')).rejects.toMatchObject(error)
      expect(() => again.signerOf(name)).toThrow(expect.objectContaining(error))
      expect(again.find(name)).toBeUndefined()
      expect(again.authenticate(apiKeys.get(name) ?? '')).toBeUndefined()
    }
    const logged = home.log.map((line) => JSON.parse(line))
    expect(logged.map(({ code, file: path }) => [code, path]).toSorted()).toEqual(
      [...damaged.map(file), join(home.dir, 'notes.txt')]
        .map((path) => ['HOME_DAMAGED', path])
        .toSorted(),
    )
    expect(again.authenticate(apiKeys.get('ada') ?? '')?.name).toBe('ada')
    await again.add('new', 'member')
  })

  it('never show what they hold, in the log or in an error', async () => {
    const home = await makeUsersHome()
    const { apiKey } = await (await home.open()).add('ada', 'member')
    const file = join(home.dir, 'ada.json')
    const text = await readFile(file, 'utf8')
    const { seed, apiKeySha256 } = JSON.parse(text)
    const spoilt = [text.replaceAll(/[{}]/g, ''), seed, text.slice(0, -3), text.replace('"', '')]
    for (const bytes of [...spoilt, text.replace('"state": "active"', '"state": 1')]) {
      await writeFile(file, bytes)
      const error: unknown = await (await home.open()).rekey('ada').catch((reason) => reason)
      expect(error).toMatchObject({ code: 'HOME_DAMAGED' })
      const told = [...home.log, shown(error)].join('\n')
      for (const secret of [seed, apiKeySha256, apiKey]) {
        for (let i = 0; i + 6 <= secret.length; i += 6) {
          expect(told).not.toContain(secret.slice(i, i + 6))
        }
      }
    }
  })
})

const fieldOf = (byte: string) => `"publicKey": "${byte.repeat(32)}"`

/** All that could be printed of an error. */
function shown(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return [error.stack, JSON.stringify(error), shown(error.cause ?? '')].join('\n')
}

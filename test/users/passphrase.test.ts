import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { askPassphrase, passphraseOf } from '../../src/users/passphrase.ts'
import { tempDir } from '../cli/run.ts'

describe('a passphrase from a file', () => {
  async function fromFile(bytes: string | Buffer): Promise<unknown> {
    const path = join(await tempDir(), 'passphrase')
    await writeFile(path, bytes)
    const { config } = loadConfig('', {}, { GONK_PASSPHRASE_FILE: path })
    return passphraseOf(config).catch((error: unknown) => error)
  }

  it('is all of the file but the line break at its end', async () => {
    expect(await fromFile('correct horse')).toBe('correct horse')
    expect(await fromFile('correct horse\n')).toBe('correct horse')
    expect(await fromFile('correct horse\r\n')).toBe('correct horse')
    expect(await fromFile(' a\nb \n\n')).toBe(' a\nb \n')
    expect(await fromFile('x'.repeat(4_096))).toBe('x'.repeat(4_096))
  })

  it('must be there, not empty, and not a film', async () => {
    expect(await fromFile('')).toMatchObject({ code: 'CONFIG' })
    expect(await fromFile('\n')).toMatchObject({ code: 'CONFIG' })
    const large = await fromFile(`horse${'x'.repeat(5_000)}`)
    expect(large).toMatchObject({ code: 'CONFIG', message: expect.not.stringContaining('horse') })
    const nowhere = { passphraseFile: join(await tempDir(), 'none') }
    await expect(passphraseOf(nowhere)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining(nowhere.passphraseFile),
    })
    const folder = { passphraseFile: await tempDir() }
    await expect(passphraseOf(folder)).rejects.toMatchObject({ code: 'CONFIG' })
  })

  it('is none where the config names no file', async () => {
    expect(await passphraseOf(loadConfig('', {}, {}).config)).toBeUndefined()
    const { config } = loadConfig('passphraseFile: /run/secret\n', {}, {})
    expect(config.passphraseFile).toBe('/run/secret')
  })
})

describe('a passphrase from the terminal', () => {
  function terminal() {
    const modes: boolean[] = []
    const input = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: (mode: boolean) => void modes.push(mode),
    })
    const output = new PassThrough()
    const interruption = new AbortController()
    const { signal } = interruption
    const asked = askPassphrase(
      { input, output, interrupt: () => interruption.abort() },
      'passphrase: ',
      { signal },
    ).catch((error: unknown) => error)
    return {
      interruption,
      modes,
      type(text: string) {
        input.write(text)
        return asked
      },
      shown: () => String(output.read()),
    }
  }

  it('is what was typed, corrections made, and is not shown', async () => {
    const { type, shown, modes } = terminal()
    expect(await type('hordes\x7f\x7fse\r')).toBe('hordse')
    expect(shown()).toBe('passphrase: \n')
    expect(modes).toEqual([true, false])
  })

  it('is none after an empty line', async () => {
    expect(await terminal().type('\r')).toBeUndefined()
  })

  it('is not waited for after Ctrl-C, Ctrl-D or another signal', async () => {
    for (const letter of ['\x03', '\x04']) {
      const { type, modes, shown } = terminal()
      expect(await type(letter)).toMatchObject({ code: 'CANCELLED' })
      expect([shown(), modes]).toEqual(['passphrase: \n', [true, false]])
    }
    const { type, interruption } = terminal()
    interruption.abort()
    expect(await type('')).toMatchObject({ code: 'CANCELLED' })
  })
})

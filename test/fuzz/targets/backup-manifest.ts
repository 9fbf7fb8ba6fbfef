// What a backup says of itself. The first byte says whether the input is that text, or the choices by which
// one with the right digest is made and damaged.
import { createHash } from 'node:crypto'
import { isAbsolute, normalize } from 'node:path'
import { parseManifest, stateFolder } from '../../../src/backup/manifest.ts'
import { damage, Dice } from '../dice.ts'
import { allowing, hold, holdSame, type Target, textOf, utf8 } from '../target.ts'

const hash = 'ab'.repeat(32)
const paths = [
  'log/000005.ldb',
  'users/ada.json',
  'config.yaml',
  'blocks.txt',
  'log/../a',
  '/etc/a',
]

const manifestOf = (dice: Dice): Record<string, unknown> => ({
  format: 1,
  at: '2026-01-01T00:00:00.000Z',
  version: '0.1.0',
  peerId: '12D3KooWGRUfFFrKPFqtBHrNKLpYVFTWrGUvdJ7b4UkPnMYzDMvC',
  publicKey: hash,
  keys: dice.flag(),
  datasets: dice.list(0, 3, () => ({ id: 'bafy', name: dice.text(9), root: 'bafy' })),
  rows: dice.number(0, 1_000),
  state: 'state-0123456789abcdef',
  files: dice.list(0, 4, () => ({
    path: dice.oneOf(paths),
    sizeBytes: dice.number(0, 1_000),
    sha256: hash,
  })),
  blocks: { count: dice.number(0, 9), bytes: dice.number(0, 9), missing: 0 },
})

function sealed(manifest: Record<string, unknown>): string {
  const digest = createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
  return JSON.stringify({ ...manifest, digest })
}

const seedOf = (fill: number) => new Uint8Array(120).map((_, at) => (at === 0 ? 1 : at * fill))

export const target: Target = {
  seeds: () => [
    Uint8Array.of(0, ...utf8(sealed(manifestOf(new Dice(seedOf(3)))))),
    Uint8Array.of(0, ...utf8('null')),
    ...Array.from({ length: 16 }, (_, i) => seedOf(i)),
  ],
  words: ['"format":1', '"digest":', '"files":[', '"path":', '../', 'log/', 'users/', 'state-'],
  bytesMax: 2_048,
  check: (bytes) => {
    const dice = new Dice(bytes.subarray(1))
    const manifest = manifestOf(dice)
    for (let flaws = dice.number(0, 3); flaws > 0; flaws--) damage(manifest, dice)
    const text = bytes[0] === 0 ? textOf(bytes.subarray(1)) : sealed(manifest)
    const codes = ['HOME_FORMAT', 'HOME_DAMAGED']
    const read = allowing(codes, () => parseManifest(text, 'backup.json'))
    if (read === undefined) return
    hold(stateFolder.test(read.state), 'a folder of the backup')
    for (const { path, sizeBytes } of read.files) {
      hold(!isAbsolute(path) && normalize(path) === path && !path.startsWith('..'), path)
      hold(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a size')
    }
    holdSame(parseManifest(sealed({ ...read }), 'backup.json'), read, 'a manifest written again')
  },
}

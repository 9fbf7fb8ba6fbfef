// Events built field by field: what is right must be taken, and what has a flaw must not be taken for
// more than it says. Mutated bytes hardly ever get past the signed map; these always do.
import * as dagCbor from '@ipld/dag-cbor'
import { isRejection } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { damage, Dice } from '../dice.ts'
import { checkEvent } from '../events.ts'
import { hold, type Target } from '../target.ts'

type Plain = Record<string, unknown>

const byBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b)
const key = (dice: Dice) => new Uint8Array(32).fill(dice.number(0, 255))

/** Sorted, each once. */
function cids(dice: Dice, min: number, max: number): Uint8Array[] {
  const all = dice.list(min, max, () => dice.cid())
  const unique = new Map(all.map((cid) => [Buffer.from(cid).toString('hex'), cid]))
  return [...unique.values()].sort(byBytes)
}

const some = (fields: Plain) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const word = (dice: Dice) => dice.oneOf(['', 'a', 'sharp', 'é', 'ナ', 'x'.repeat(255)])
const version = (dice: Dice) => [dice.cid(), dice.number(0, limits.operationsMax - 1)]
const versions = (dice: Dice, max: number) =>
  dice.list(1, max, () => 0).map((_, index) => [dice.cid(), index])
const labels = (dice: Dice) => dice.maybe(() => ({ 'gonk:uuid': word(dice), b: word(dice) }))

function value(dice: Dice): Plain {
  if (dice.flag()) {
    const name = dice.oneOf(['a', 'a/b', 'cells/1.png', '\u{1f600}', 'n'.repeat(255), 'e\u0301'])
    const m = dice.oneOf(['text/plain', 'application/schema+json', ' ', '~'.repeat(255)])
    const c = dice.cid(dice.oneOf([0x55, 0x70]))
    return some({ n: name, m, z: dice.number(0, 2 ** 40), c, j: dice.maybe(() => word(dice)) })
  }
  const head = { of: versions(dice, 3), s: version(dice) }
  if (dice.flag()) return { ...head, z: dice.number(0, 2 ** 40), c: dice.cid(0x55) }
  const i = dice.bytes(dice.number(0, 64))
  return { ...head, z: i.length, i }
}

function operation(dice: Dice): Plain {
  const x = dice.bytes(32)
  const l = labels(dice)
  const base = () => versions(dice, 4)
  return some(
    dice.oneOf([
      () => ({ o: 'create', ...value(dice), l }),
      () => ({ o: 'update', x, b: base(), ...value(dice), l }),
      () => ({ o: 'delete', x, b: base(), l }),
      () => ({ o: 'purge', x, l }),
    ])(),
  )
}

function ranges(dice: Dice): [number, number][] {
  let from = 0
  return dice.list(1, 8, () => {
    const start = from + dice.number(0, 50)
    const end = start + dice.number(0, 50)
    from = end + 1
    return [start, end]
  })
}

function genesis(dice: Dice): Plain {
  const founders = [...new Set(dice.list(1, 8, () => dice.number(0, 255)))].map((byte) =>
    new Uint8Array(32).fill(byte),
  )
  const kOwner = dice.number(1, founders.length)
  const kReview = dice.number(1, kOwner)
  const name = dice.maybe(() => word(dice))
  return some({ founders, kOwner, kReview, nonce: dice.bytes(16), name })
}

const ownerBodies: Readonly<Record<string, (dice: Dice) => Plain>> = {
  add: (dice) => {
    const proof = dice.maybe(() => dice.bytes(64))
    return some({ key: key(dice), proof, name: dice.maybe(() => word(dice)) })
  },
  remove: (dice) => ({ key: key(dice) }),
  review: (dice) => {
    const items = cids(dice, 1, 6).map((p) => some({ p, r: dice.maybe(() => ranges(dice)) }))
    const reason = dice.maybe(() => word(dice))
    return some({ verdict: dice.oneOf(['accept', 'reject']), items, reason })
  },
  release: (dice) => {
    const text = dice.maybe(() => word(dice))
    return some({ tag: dice.oneOf(['v1', 'é', 't'.repeat(255)]), root: dice.cid(), text })
  },
  endorse: (dice) => ({ op: dice.cid() }),
  policy: (dice) => ({ kReview: dice.number(1, 64) }),
  cp: (dice) => {
    const height = dice.oneOf([1, 2, 2 ** 53 - 1])
    const prev = height === 1 ? null : dice.cid()
    const heads = cids(dice, 1, 5)
    return { height, prev, heads, without: cids(dice, 0, 5), root: dice.cid() }
  },
  rotate: (dice) => ({ anything: dice.number(0, 3) }),
}

function eventMap(dice: Dice): Plain {
  const kind = dice.oneOf(['genesis', 'propose', ...Object.keys(ownerBodies)])
  const common = some({ v: 1, k: kind, a: key(dice), t: dice.number(0, 2 ** 45), l: labels(dice) })
  const sig = dice.bytes(64)
  if (kind === 'genesis') return { ...common, d: null, b: genesis(dice), sig }
  const d = dice.cid()
  if (kind === 'propose') {
    const ops = dice.list(1, 6, () => operation(dice))
    return { ...common, d, b: some({ ops, name: dice.maybe(() => word(dice)) }), sig }
  }
  const w = dice.flag() ? dice.number(0, limits.foundersMax - 1) : dice.cid()
  const s = cids(dice, 1, 5)
  const body = ownerBodies[kind] as (dice: Dice) => Plain
  return { ...common, d, w, h: dice.number(1, 2 ** 45), s, b: body(dice), sig }
}

export const target: Target = {
  seeds: () => Array.from({ length: 64 }, (_, i) => new Uint8Array(400).map((_, at) => at * i + i)),
  bytesMax: 2_048,
  check: (bytes) => {
    const dice = new Dice(bytes)
    const flaws = dice.number(0, 3)
    const map = eventMap(dice)
    for (let i = 0; i < flaws; i++) damage(map, dice)
    const event = checkEvent(dagCbor.encode(map))
    if (flaws === 0) hold(!isRejection(event), `a right event is refused: ${JSON.stringify(event)}`)
  },
}

// What happens in a run: from a seed to a list of actions, each with its own source of choices, so that
// any of them can be left out and the rest still means something.
import { Choices } from '../reference/generator.ts'
import { type ActionKind, actions, settling } from './actions.ts'

export interface Action {
  readonly atMs: number
  readonly kind: ActionKind
  /** Seed of what it chooses. */
  readonly pick: number
}

/** Everything that a run depends on. */
export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly founders: number
  /** As the genesis says. */
  readonly kOwner: number
  readonly kReview: number
  /** Node 1 has the key of node 0: two processes sign for one owner. */
  readonly isTwin: boolean
  /** Of 100 pairs of nodes, how many know each other only through others. */
  readonly unlinkedPercent: number
  readonly lossPercent: number
  readonly doublePercent: number
  readonly poolBytesMax: number
  readonly actions: readonly Action[]
}

export interface PlanOptions {
  /** @default 3 to 7 */
  readonly nodes?: number | undefined
  /** How many steps the run has, roughly. @default 600 */
  readonly steps?: number | undefined
}

/** Mean time between two actions. */
const GAP_MS = 700
/** Between two points at which everything is compared. */
const ACTIONS_PER_ROUND = 60
/** Steps that one action brings about, for each node. */
const STEPS_PER_ACTION = 5
const STEPS_DEFAULT = 600
/** Runs with checkpoints. */
const SETTLING_PERCENT = 55
/** Of these, runs in which users believe one of several that are possible. */
const TRUSTING_PERCENT = 30

/** Of which there is much in every run: without work there is nothing to lose. */
const BASICS: readonly ActionKind[] = [
  'propose',
  'propose',
  'review',
  'review',
  'review',
  'addOwner',
  'endorse',
]
const AGREEING: readonly ActionKind[] = ['agree', 'agree']
const SETTLING: readonly ActionKind[] = [
  'settle',
  'settle',
  'settle',
  'settle',
  'rework',
  'undermine',
  'undermine',
  'keepBack',
]

const TRUSTING: readonly ActionKind[] = ['rivalCheckpoint', 'trust']

export function planOf(seed: number, options: PlanOptions = {}): Plan {
  const choices = new Choices(seed)
  const nodes = options.nodes ?? 3 + choices.below(5)
  const steps = options.steps ?? STEPS_DEFAULT
  const count = Math.max(4, Math.round(steps / (STEPS_PER_ACTION * nodes)))
  const founders = 1 + choices.below(Math.min(4, nodes))
  const kOwner = choices.chance(60) ? 1 : Math.min(founders, 2 + choices.below(2))
  const kinds = Object.keys(actions) as ActionKind[]
  // Each run has a liking for some of what can happen.
  const usual = [...BASICS, ...(kOwner > 1 ? AGREEING : [])]
  const isSettling = choices.chance(SETTLING_PERCENT)
  if (isSettling) usual.push(...SETTLING)
  if (isSettling && choices.chance(TRUSTING_PERCENT)) usual.push(...TRUSTING)
  const weights = kinds.map((kind) => {
    if (!isSettling && settling.includes(kind)) return 0
    const isLiked = choices.below(3)
    return actions[kind].weight * (isLiked === 0 ? 0 : isLiked === 1 ? 1 : 4)
  })
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const drawn = (): ActionKind => {
    let left = choices.below(Math.max(1, total))
    return kinds[weights.findIndex((weight) => (left -= weight) < 0)] ?? 'propose'
  }
  const list: Action[] = []
  let atMs = 0
  for (let i = 0; i < count; i++) {
    atMs += choices.below(2 * GAP_MS)
    const isQuiet = i > 0 && i % ACTIONS_PER_ROUND === 0
    const isBasic = choices.chance(isSettling ? 55 : 35)
    const kind = isQuiet ? 'quiet' : isBasic ? choices.of(usual) : drawn()
    list.push({ atMs, kind, pick: choices.below(2 ** 31) })
  }
  return {
    seed,
    nodes,
    founders,
    kOwner,
    kReview: 1 + choices.below(kOwner),
    isTwin: choices.chance(15),
    unlinkedPercent: choices.of([0, 0, 30, 60]),
    lossPercent: choices.of([0, 0, 2, 10]),
    doublePercent: choices.of([0, 5, 30]),
    poolBytesMax: choices.of([4_000, 20_000, 1_000_000]),
    actions: list,
  }
}

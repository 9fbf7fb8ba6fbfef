// What fails: machines, disks, networks and clocks; and the points at which all is compared.
import type { Choices } from '../reference/generator.ts'
import type { DiskFault } from './disk.ts'
import type { SimulatedNode } from './node.ts'
import type { ActionOf, World } from './world.ts'

const SKEW_MS = 3_600_000

function onNode(weight: number, run: (node: SimulatedNode, choices: Choices) => void): ActionOf {
  return { weight, run: (world, choices) => run(choices.of(world.nodes), choices) }
}

function diskFault(weight: number, fault: DiskFault): ActionOf {
  return onNode(weight, ({ disk }) => (disk.fault = fault))
}

function onPair(
  weight: number,
  run: (world: World, a: string, b: string, choices: Choices) => void,
): ActionOf {
  return {
    weight,
    run(world, choices) {
      const [a, b] = choices.shuffled(world.nodes)
      if (a !== undefined && b !== undefined) run(world, a.peerId, b.peerId, choices)
    },
  }
}

export const faultActions = {
  crash: onNode(7, (node) => node.crash()),
  kill: onNode(3, (node) => node.kill()),
  diskFull: diskFault(3, 'refused'),
  diskUnsure: diskFault(2, 'unsure'),
  crashBeforeWrite: diskFault(4, 'cut'),
  crashAfterWrite: diskFault(3, 'last'),
  diskSlow: onNode(2, ({ disk }, choices) => (disk.slownessMs = choices.of([1, 50, 2_000]))),
  backup: onNode(3, (node) => node.copyDisk()),
  restoreBackup: onNode(3, (node) => node.restoreDisk()),
  cutOneWay: onPair(5, (world, a, b) => (world.network.link(a, b).isCut = true)),
  cutBothWays: onPair(5, (world, a, b) => {
    world.network.link(a, b).isCut = true
    world.network.link(b, a).isCut = true
  }),
  slowLink: onPair(3, (world, a, b, choices) => {
    Object.assign(world.network.link(a, b), { minMs: 50, spreadMs: choices.of([100, 5_000]) })
  }),
  heal: { weight: 5, run: (world) => world.heal() },
  clockJump: onNode(3, (node, choices) => {
    node.skewMs = choices.below(2 * SKEW_MS) - SKEW_MS
  }),
  /** Everything is healed, delivered and compared; then it goes on. */
  quiet: { weight: 0, run: (world) => (world.wantsQuiet = true) },
} as const satisfies Record<string, ActionOf>

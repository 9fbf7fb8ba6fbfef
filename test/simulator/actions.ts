// All that can happen in a run, by name: work of honest owners and contributors, deeds of rogues, and
// failures of machines and networks.
import { checkpointActions } from './checkpoint-actions.ts'
import { faultActions } from './fault-actions.ts'
import { honestActions } from './honest-actions.ts'
import { rogueActions } from './rogue-actions.ts'

export const actions = {
  ...honestActions,
  ...rogueActions,
  ...faultActions,
  ...checkpointActions,
} as const

/** Left out of runs without checkpoints. */
export const settling: readonly string[] = Object.keys(checkpointActions)

export type ActionKind = keyof typeof actions

// What waits for more owners, as commands print it.
import type { Approvals, WaitingOperation } from '../contract/api.ts'
import { countText, printable, shortKey, table } from './output.ts'

/** `1 of 2`. */
export const approvalsText = ({ have, needed }: Approvals): string => `${have} of ${needed}`

/** Of what was proposed and accepted in one go: that it is in, or how many must still accept it. */
export function acceptedText(what: string, approvals: Approvals | undefined): string {
  if (approvals === undefined) return `added and accepted ${what}`
  return `approved ${what}, for more owners to accept: ${approvalsText(approvals)} approvals`
}

/** A table, and the command that agrees; nothing where nothing waits. */
export function waitingText(dataset: string, waiting: readonly WaitingOperation[]): string[] {
  if (waiting.length === 0) return []
  const rows = waiting.map((one) => [
    one.event,
    whatText(one),
    approvalsText(one.approvals),
    one.endorsedBy.map(shortKey).join(' '),
    one.at,
  ])
  const header = ['WAITS FOR OWNERS', 'WHAT', 'AGREED', 'BY', 'SINCE']
  const command = `agree with: gonk-node owner endorse ${printable(dataset)} EVENT`
  return ['', table(header, rows), command]
}

function whatText({ kind, key = '', name, reviews }: WaitingOperation): string {
  if (kind === 'policy') return `a change needs ${countText(reviews ?? 1, 'owner')}`
  const who = name === undefined ? key : `${key} (${name})`
  return `${kind} owner ${who}`
}

/** One line on what was signed: whether it is in force, or how many must still agree. */
export function signedText(
  dataset: string,
  event: string,
  waiting: readonly WaitingOperation[],
): string {
  const one = waiting.find((other) => other.event === event)
  if (one === undefined) return 'in force'
  const agreed = `signed, ${approvalsText(one.approvals)} owners agree`
  return `${agreed}; another runs: gonk-node owner endorse ${printable(dataset)} ${event}`
}

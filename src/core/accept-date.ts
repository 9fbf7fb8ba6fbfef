// Dates of acceptance: (depth, rank, id) as 80 bytes that sort as the triple does. They settle
// order inside one object, name or tag, and never authority.
import type { EventId } from './ids.ts'
import { bytesOfHex, compareBytes, hexOf } from './ids.ts'
import type { AcceptDate, Tenure } from './state.ts'

export const ACCEPT_DATE_BYTES = 80
const RANK_BYTES = 40
const ID_BYTES = 32

/** What a rank is made of. */
export type Ranked = Pick<Tenure, 'id' | 'addDepth' | 'founderIndex'>

/**
 * 40 bytes: depth of the add as u64 ‖ its id; founder i: 0 ‖ i. They sort as {@link compareRanks}.
 */
export function rankBytesOf(tenure: Ranked): Uint8Array {
  const bytes = new Uint8Array(RANK_BYTES)
  const view = new DataView(bytes.buffer)
  if (tenure.founderIndex !== undefined) {
    view.setBigUint64(RANK_BYTES - 8, BigInt(tenure.founderIndex))
    return bytes
  }
  view.setBigUint64(0, BigInt(tenure.addDepth))
  bytes.set(bytesOfHex(tenure.id), 8)
  return bytes
}

/** Total order of tenures: founders as listed, then by depth and id of the add. */
export function compareRanks(a: Ranked, b: Ranked): number {
  if (a.addDepth !== b.addDepth) return a.addDepth - b.addDepth
  if (a.founderIndex !== undefined || b.founderIndex !== undefined) {
    return (a.founderIndex ?? Infinity) - (b.founderIndex ?? Infinity)
  }
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** @param rank see {@link rankBytesOf}; a caller with many events of one tenure keeps it. */
export function acceptDateOf(depth: number, rank: Uint8Array, event: EventId): AcceptDate {
  const date = new Uint8Array(ACCEPT_DATE_BYTES)
  new DataView(date.buffer).setBigUint64(0, BigInt(depth))
  date.set(rank, 8)
  date.set(bytesOfHex(event), ACCEPT_DATE_BYTES - ID_BYTES)
  return date
}

export const compareDates: (a: AcceptDate, b: AcceptDate) => number = compareBytes

/** The event a date belongs to. */
export function eventOfDate(date: AcceptDate): EventId {
  return hexOf(date.subarray(ACCEPT_DATE_BYTES - ID_BYTES)) as EventId
}

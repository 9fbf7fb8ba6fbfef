// Turns of requests: what is read of a body, or sent of a content, counts against a budget until the
// answer is out.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hungUp } from '../errors.ts'
import type { JsonBudget } from '../json-budget.ts'

/** A body must be here within this time from its turn on. */
const BODY_MS = 60_000
/** Larger contents are sent in pieces of about as many. */
const PIECE_BYTES = 2 * 1024 * 1024
/** A piece, what it becomes, and the pieces that are read ahead. */
const TIMES = 3

/** Waits until the body may be read. Throws TOO_MANY, CANCELLED. */
export async function turnOfBody(
  request: FastifyRequest,
  reply: FastifyReply,
  budget: JsonBudget,
  { id, bytesMax }: { readonly id: string; readonly bytesMax: number },
): Promise<void> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  // What does not say its length may be the largest.
  const bytes = coding === undefined ? Number(length ?? 0) : bytesMax
  if (!(bytes > 0)) return
  await takeTurn(reply, budget, id, Math.min(bytes, bytesMax))
  limitTime(request)
}

/** Waits until content may be sent. Throws TOO_MANY, CANCELLED. */
export async function turnOfContent(
  reply: FastifyReply,
  budget: JsonBudget,
  { id, sizeBytes }: { readonly id: string; readonly sizeBytes: number },
): Promise<void> {
  await takeTurn(reply, budget, id, Math.min(sizeBytes, PIECE_BYTES) * TIMES)
}

async function takeTurn(
  reply: FastifyReply,
  budget: JsonBudget,
  id: string,
  bytes: number,
): Promise<void> {
  const giveBack = await budget.take(id, bytes, hungUp(reply))
  if (reply.raw.closed || reply.raw.destroyed) giveBack()
  else reply.raw.once('close', giveBack)
}

/** Whoever sends too slowly is cut off: others wait for their turn. */
function limitTime({ raw }: FastifyRequest): void {
  if (raw.complete) return
  const timer = setTimeout(() => raw.destroy(), BODY_MS)
  const stop = () => clearTimeout(timer)
  raw.once('end', stop).once('close', stop)
}

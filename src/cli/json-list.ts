// A list that comes page by page and is printed as it comes: one JSON document, or lines of text.
import { GonkError } from '../core/errors.ts'
import { errorJson } from './output.ts'
import type { Session } from './session.ts'
import { ExitStatus } from './task.ts'

export interface ListForm<T> {
  /** Name of the list in the JSON document. */
  readonly name: string
  /** Text before the first line; `empty`: a note where there is none. */
  readonly header: string
  readonly empty: string
  readonly line: (item: T) => string
  /** More fields of the JSON document, known at its end. */
  readonly more?: () => object
}

/** However long the list is, one page of it is in memory. @returns how many there were. */
export async function printList<T>(
  { output, signal }: Session,
  pages: AsyncIterable<readonly T[]>,
  { name, header, empty, line, more = () => ({}) }: ListForm<T>,
): Promise<number> {
  let written = 0
  try {
    for await (const items of pages) {
      for (const item of items) {
        const isFirst = written++ === 0
        if (output.json) {
          process.stdout.write((isFirst ? `{"${name}":[` : ',\n') + JSON.stringify(item))
        } else output.write(isFirst && header !== '' ? `${header}\n${line(item)}` : line(item))
      }
    }
  } catch (error) {
    // The document has begun: it ends with what went wrong.
    if (!output.json || written === 0 || !(error instanceof GonkError)) throw error
    output.write(`],"error":${JSON.stringify(errorJson(error))}}`)
    throw new ExitStatus(signal.aborted ? 130 : 1)
  }
  const rest = JSON.stringify(more()).slice(1)
  const comma = rest === '}' ? '' : ','
  if (output.json) output.write(`${written === 0 ? `{"${name}":[` : ''}]${comma}${rest}`)
  else if (written === 0 && empty !== '') output.note(empty)
  return written
}

/** Pages from `first` on, each got with `next` of the one before. Throws CANCELLED. */
export async function* pagesOf<T>(
  signal: AbortSignal,
  limit: number,
  read: (page: { after?: string; limit: number }) => Promise<{
    readonly items: readonly T[]
    readonly next: string | undefined
  }>,
): AsyncIterable<readonly T[]> {
  let left = limit
  let after: string | undefined
  do {
    const page = await read({ limit: Math.min(left, PAGE), ...(after !== undefined && { after }) })
    if (signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
    yield page.items
    left -= page.items.length
    after = page.next
  } while (left > 0 && after !== undefined)
}

const PAGE = 200

// The SchemaValidator port: limits first, then a queue before one worker process, in which checks
// take turns, and whatever costs too much is answered and remembered.
import { hash } from 'node:crypto'
import { GonkError } from '../core/errors.ts'
import type {
  CheckBudget,
  CheckOptions,
  Conformance,
  SchemaDraft,
  SchemaValidator,
} from '../ports.ts'
import { Costly } from './costly.ts'
import type { SchemaAnswer } from './messages.ts'
import { schemaError } from './schema-errors.ts'
import { ValidationWorker, type WorkerOptions } from './worker.ts'

const KiB = 1024
const MiB = 1024 * KiB

export interface ValidatorOptions extends Partial<WorkerOptions> {
  /** How long what proved too costly is refused without another try. */
  readonly rememberMs?: number
}

/** What is allowed where nothing else is chosen. */
const defaults: Required<ValidatorOptions> = {
  schemaBytesMax: 256 * KiB,
  schemaDepthMax: 64,
  documentBytesMax: 8 * MiB,
  documentDepthMax: 512,
  stepMsMax: 1_000,
  heapMiBMax: 256,
  idleMs: 30_000,
  rememberMs: 10 * 60_000,
}

/** What goes to the worker at once; a larger document goes alone. */
const TURN_DOCUMENTS_MAX = 256
const TURN_BYTES_MAX = MiB

/** One question: a schema, and the documents that have no answer yet. */
interface Check {
  readonly key: string
  readonly schema: Uint8Array
  readonly documents: readonly Uint8Array[]
  readonly answers: (Conformance | undefined)[]
  /** Indexes of documents, ascending. */
  readonly pending: number[]
  readonly budget: CheckBudget | undefined
  readonly end: (answer: SchemaAnswer) => void
  readonly fail: (error: GonkError) => void
}

/** Nothing runs before the first question. The worker ends when it has nothing to do for a while. */
export function openValidator(options: ValidatorOptions = {}): SchemaValidator {
  return new Validator({ ...defaults, ...options })
}

class Validator implements SchemaValidator {
  readonly #options: Required<ValidatorOptions>
  readonly #worker: ValidationWorker
  readonly #costly: Costly
  /** In the order of their turns. */
  #checks: readonly Check[] = []
  #isWorking = false
  #isClosed = false

  constructor(options: Required<ValidatorOptions>) {
    this.#options = options
    this.#worker = new ValidationWorker(options)
    this.#costly = new Costly(options.rememberMs)
  }

  async checkSchema(
    schema: Uint8Array,
    options: CheckOptions = {},
  ): Promise<{ draft: SchemaDraft }> {
    const { schemaBytesMax } = this.#options
    if (schema.length > schemaBytesMax) {
      throw new GonkError('TOO_LARGE', `the schema ${sizeText(schema, schemaBytesMax)}`, {
        hint: 'make it smaller, for example with shorter lists of values',
      })
    }
    const { answer } = await this.#ask(schema, [], options)
    if ('draft' in answer) return answer
    const [error] = answer.errors
    const place = error?.path ? ` at ${error.path}` : ''
    throw new GonkError(answer.code, `the schema${place} ${error?.text}`, {
      details: { errors: answer.errors },
    })
  }

  async check(
    schema: Uint8Array,
    documents: readonly Uint8Array[],
    options: CheckOptions = {},
  ): Promise<readonly Conformance[]> {
    if (documents.length === 0) return []
    const { schemaBytesMax } = this.#options
    if (schema.length > schemaBytesMax) {
      return documents.map(() => no('BAD_SCHEMA', 'size', sizeText(schema, schemaBytesMax)))
    }
    const { answer, answers } = await this.#ask(schema, documents, options)
    return 'draft' in answer ? answers : documents.map(() => ({ conforms: false, ...answer }))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const check of this.#checks) check.fail(closed())
    await this.#worker.close()
  }

  async #ask(
    schema: Uint8Array,
    documents: readonly Uint8Array[],
    { signal, budget }: CheckOptions,
  ) {
    if (this.#isClosed) throw closed()
    if (signal?.aborted === true) throw cancelled(signal)
    const { promise, resolve, reject } = Promise.withResolvers<SchemaAnswer>()
    const key = hash('sha256', schema)
    const answers = documents.map((document) => this.#answerAtOnce(key, document))
    const leave = () => {
      this.#checks = this.#checks.filter((other) => other !== check)
    }
    const check: Check = {
      ...{ key, schema, documents, answers, budget },
      pending: answers.flatMap((answer, i) => (answer === undefined ? [i] : [])),
      end: (answer) => (leave(), resolve(answer)),
      fail: (error) => (leave(), reject(error)),
    }
    const abort = () => check.fail(cancelled(signal))
    signal?.addEventListener('abort', abort, { once: true })
    this.#checks = [...this.#checks, check]
    if (!this.#isWorking) void this.#takeTurns()
    try {
      const answer = await promise
      return { answer, answers: answers as Conformance[] }
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Documents that are refused without looking into them. */
  #answerAtOnce(key: string, document: Uint8Array): Conformance | undefined {
    const { documentBytesMax } = this.#options
    if (document.length > documentBytesMax) {
      return no('NOT_CONFORMING', 'size', sizeText(document, documentBytesMax))
    }
    return this.#costly.hasDocument(key, document) ? this.#tooCostly() : undefined
  }

  async #takeTurns(): Promise<void> {
    this.#isWorking = true
    for (let [check, ...others] = this.#checks; check; [check, ...others] = this.#checks) {
      this.#checks = [...others, check]
      try {
        await this.#takeTurn(check)
      } catch (error) {
        check.fail(error instanceof GonkError ? error : internal(error))
      }
    }
    this.#isWorking = false
  }

  /** Some of a check's documents; ends it where none is left. */
  async #takeTurn(check: Check): Promise<void> {
    const { key, schema, documents, answers, pending, end, budget } = check
    if (this.#costly.hasSchema(key)) return end(this.#tooCostly())
    if (budget !== undefined && budget.leftMs <= 0) throw usedUp(pending[0])
    const sinceMs = performance.now()
    const batch = batchOf(pending.map((i) => documents[i] as Uint8Array))
    const task = { key, schema, documents: batch }
    let outcome = await this.#worker.run(task)
    // Memory may have been used up by what the worker did before: then they get one of their own.
    if (outcome.end === 'death' && !outcome.isFirst) outcome = await this.#worker.run(task)
    if (budget !== undefined) budget.leftMs -= performance.now() - sinceMs
    for (const answer of outcome.documents) answers[pending.shift() as number] = answer
    if (outcome.schema === undefined) {
      this.#costly.addSchema(key)
      return end(this.#tooCostly())
    }
    if (outcome.end !== 'done' && outcome.documents.length < batch.length) {
      const culprit = pending.shift() as number
      this.#costly.addDocument(key, documents[culprit] as Uint8Array)
      answers[culprit] = this.#tooCostly()
    }
    if (pending.length === 0 || 'code' in outcome.schema) end(outcome.schema)
  }

  #tooCostly() {
    const { stepMsMax, heapMiBMax } = this.#options
    const text = `takes more than ${stepMsMax} ms or ${heapMiBMax} MiB to check`
    return no('TOO_COSTLY', 'cost', text)
  }
}

/** The first document, and as many more as go along. */
function batchOf(documents: readonly Uint8Array[]): readonly Uint8Array[] {
  let sizeBytes = 0
  const end = documents.findIndex(
    ({ length }, i) => ((sizeBytes += length) > TURN_BYTES_MAX || i >= TURN_DOCUMENTS_MAX) && i > 0,
  )
  return end < 0 ? documents : documents.slice(0, end)
}

function no<C extends 'NOT_CONFORMING' | 'BAD_SCHEMA' | 'TOO_COSTLY'>(
  code: C,
  rule: string,
  text: string,
) {
  return { conforms: false, code, errors: [schemaError('', rule, text)] } as const
}

function sizeText({ length }: Uint8Array, max: number): string {
  return `has ${length} bytes; at most ${max} are allowed`
}

function closed(): GonkError {
  return new GonkError('CANCELLED', 'the node stops: schemas are checked no more')
}

function cancelled(signal: AbortSignal | undefined): GonkError {
  if (signal?.reason instanceof GonkError) return signal.reason
  return new GonkError('CANCELLED', 'stopped before it was checked', { cause: signal?.reason })
}

function usedUp(index: number | undefined): GonkError {
  return new GonkError('TOO_COSTLY', 'all checks of this request together take too long', {
    hint: 'send less at once, or simplify the schemas',
    details: { index },
  })
}

function internal(cause: unknown): GonkError {
  return new GonkError('INTERNAL', 'a schema could not be checked', { cause })
}

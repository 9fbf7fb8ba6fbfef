// What the validator and its worker process say to each other.
import type { Conformance, SchemaDraft, SchemaError } from '../ports.ts'

/** Sizes in bytes, depths in brackets around the innermost value. */
export interface Limits {
  readonly schemaBytesMax: number
  readonly schemaDepthMax: number
  readonly documentBytesMax: number
  readonly documentDepthMax: number
}

/** One schema and some of the documents to check against it. */
export interface Task {
  /** Of the schema's bytes alone: equal keys, equal schemas. */
  readonly key: string
  readonly schema: Uint8Array
  readonly documents: readonly Uint8Array[]
}

export type SchemaAnswer =
  | { readonly draft: SchemaDraft }
  | { readonly code: 'BAD_SCHEMA' | 'TOO_COSTLY'; readonly errors: readonly SchemaError[] }

/**
 * What the worker says: `ready` once; then for each task `schema`, a `document` for each document in
 * order, and `done`, which may come early, when others should have a turn. `cpuMs` is the processor
 * time the process has used in its life, from which that of each step follows.
 */
export type Report = { readonly cpuMs: number } & (
  | { readonly step: 'ready' }
  | { readonly step: 'schema'; readonly answer: SchemaAnswer }
  | { readonly step: 'document'; readonly answer: Conformance }
  | { readonly step: 'done' }
)

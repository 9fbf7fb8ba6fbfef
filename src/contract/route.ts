// One method of NodeApi as an HTTP request: what the tables of routes consist of.
import type { TSchema } from 'typebox'
import type { Role } from './node-shapes.ts'

export type Fields = Readonly<Record<string, TSchema>>

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below {@link apiPrefix}; `:field` stands for a field. */
  readonly path: string
  /**
   * The positional arguments of the method, by field. {@link rest}: one object of all other fields.
   * Fields that are not in the path go into the query of a GET or DELETE, or where the body is a
   * file, else into the JSON body.
   */
  readonly args: readonly string[]
  readonly fields: Fields
  /** Who may call it; each role may do what the ones before it may. */
  readonly role: Role
  /**
   * `value`: one JSON document. `list`: application/x-ndjson, one {"object"} a line. `operation`:
   * {"progress"} and {"object"} lines, then one {"result"}; both may end in {"error"}.
   * `events`: text/event-stream, one JSON document an event. `content`: the bytes of a file, with
   * ranges and ETag; also for HEAD.
   */
  readonly answer: 'value' | 'list' | 'operation' | 'events' | 'content'
  /** Members the query always has, which tell it from another route with the same path. */
  readonly query?: Readonly<Record<string, string>>
  /** Of `events`. */
  readonly sse?: EventForm
  /** Of the document, of the element of a list or stream, or of the result. */
  readonly returns: TSchema
  /** `bytes`: the body is the file itself, and the method takes it after the fields. */
  readonly body?: 'bytes'
  /** Limit of a JSON body, where it is not the usual one. */
  readonly bodyBytesMax?: number
  readonly status?: 201
  /** The method takes AbortOptions last; all but values always do. */
  readonly abortable?: true
  /** Heading in the documentation. */
  readonly tag: 'node' | 'datasets' | 'objects' | 'annotations' | 'review' | 'history' | 'copies'
  /** One sentence for the documentation. */
  readonly summary: string
}

/** How a document becomes a server-sent event, and how a dropped stream goes on. */
export interface EventForm {
  /** The name of each event (`event:`). */
  readonly name: string
  /** The member of the document that is its `id:`. */
  readonly id: string
  /** The field of the request that a `Last-Event-ID` header stands for. */
  readonly resume: string
}

export const apiPrefix = '/api/v1'
/** The place in `args` of the object made of the fields that have no place of their own. */
export const rest = '...'

/** The fields in the path of a route, in order. */
export function pathFields(route: Route): string[] {
  return [...route.path.matchAll(/:([a-zA-Z]+)/g)].map((match) => match[1] as string)
}

/** Positional arguments to fields; undefined ones are left out. */
export function fieldsOf(route: Route, args: readonly unknown[]): Record<string, unknown> {
  const fields = route.args.flatMap((name, index): [string, unknown][] => {
    const value = args[index]
    if (name !== rest) return [[name, value]]
    return typeof value === 'object' && value !== null ? Object.entries(value) : []
  })
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined))
}

/** Fields to positional arguments: the inverse of {@link fieldsOf}. */
export function argsOf(route: Route, fields: Readonly<Record<string, unknown>>): unknown[] {
  const others = Object.entries(fields).filter(([name]) => !route.args.includes(name))
  return route.args.map((name) => (name === rest ? Object.fromEntries(others) : fields[name]))
}

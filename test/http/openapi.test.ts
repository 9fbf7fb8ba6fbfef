import { Validator } from '@seriousme/openapi-schema-validator'
import { beforeAll, describe, expect, it } from 'vitest'
import type { NodeApi } from '../../src/contract/api.ts'
import { apiPrefix, routes } from '../../src/contract/routes.ts'
import { checkerOf, partsOf, shapeOf } from '../../src/http/api/validate.ts'
import { examples } from '../../src/http/examples.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { serverOf } from './serve.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters?: readonly { name: string; in: string; required?: boolean }[]
  readonly requestBody?: { readonly content: Record<string, unknown> }
  readonly responses: Record<string, { content?: Record<string, unknown>; $ref?: string }>
}

interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: Record<string, Record<string, unknown>>
}

let document: Document

beforeAll(async () => {
  const response = await serverOf(fakeNodeApi()).inject({ url: '/openapi.json' })
  expect(response.headers['content-type']).toMatch(/^application\/json/)
  document = response.json()
})

const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  )

describe('openapi.json', () => {
  it('is valid OpenAPI 3.1', async () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    const { valid, errors } = await new Validator().validate({ ...document })
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
  })

  it('names every route of the table, and no other', () => {
    const inTable = Object.values(routes).map(
      ({ method, path }) => `${method} ${apiPrefix}${path.replaceAll(/:(\w+)/g, '{$1}')}`,
    )
    const inDocument = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`)
    expect(inDocument.toSorted()).toEqual([...new Set(inTable)].toSorted())
  })

  it('calls each operation by the name of its method', () => {
    const ids = operations().map(({ operation }) => operation.operationId)
    // Following is the same request with one more parameter.
    const methods = Object.keys(routes).filter((name) => name !== 'followEvents')
    expect(ids.toSorted()).toEqual(methods.toSorted())
  })

  it('shows of every body with a required field one that the server takes', () => {
    const missing: string[] = []
    for (const [name, route] of Object.entries(routes)) {
      const { body } = partsOf(route)
      const example = examples[name as keyof NodeApi]
      const required: readonly string[] = shapeOf(body).required ?? []
      if (required.length === 0 && example === undefined) continue
      if (example === undefined) missing.push(name)
      else expect(() => checkerOf(body, 'body')({ ...example }), name).not.toThrow()
    }
    expect(missing).toEqual([])
    expect(JSON.stringify(document.paths)).toContain(JSON.stringify(examples.annotate))
  })

  it('says every field, every body and every media type of the table', () => {
    for (const [name, route] of Object.entries(routes)) {
      const path = `${apiPrefix}${route.path.replaceAll(/:(\w+)/g, '{$1}')}`
      const operation = document.paths[path]?.[route.method.toLowerCase()] as Operation
      const text = JSON.stringify(operation)
      for (const field of Object.keys(route.fields)) expect(text, name).toContain(`"${field}"`)
      for (const field of Object.keys(route.query ?? {})) expect(text).toContain(`"${field}"`)
      const types = Object.keys(operation.responses[route.status ?? 200]?.content ?? {})
      const type = {
        value: 'application/json',
        list: 'application/x-ndjson',
        operation: 'application/x-ndjson',
        events: 'text/event-stream',
        content: '*/*',
      }[route.answer]
      expect(types, name).toContain(type)
      if (route.body === 'bytes') {
        expect(Object.keys(operation.requestBody?.content ?? {})).toContain(
          'application/octet-stream',
        )
      }
      for (const status of ['400', '401', '403', 'default']) {
        expect(operation.responses[status]?.$ref).toBe('#/components/responses/Problem')
      }
    }
  })

  it('refers only to what it holds', () => {
    const references = [
      ...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g),
    ]
    expect(references.length).toBeGreaterThan(100)
    for (const [, kind = '', name = ''] of references) {
      expect(Object.keys(document.components[kind] ?? {})).toContain(name)
    }
  })

  it('has a summary that a heading can hold for every route', () => {
    for (const { summary } of Object.values(routes) as (typeof routes)[keyof NodeApi][]) {
      expect(summary.length).toBeLessThan(90)
    }
  })
})

describe('/docs/', () => {
  it('is a page that loads only what this server has', async () => {
    const server = serverOf(fakeNodeApi())
    expect((await server.inject({ url: '/docs' })).headers['location']).toBe('/docs/')
    const page = await server.inject({ url: '/docs/' })
    expect(page.headers['content-type']).toMatch(/^text\/html/)
    const links = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '')
    const files = links.filter((link) => !link.startsWith('data:'))
    expect(files).toHaveLength(4)
    for (const file of files) {
      const url = new URL(file, 'http://localhost/docs/')
      expect(url.host).toBe('localhost')
      const answer = await server.inject({ url: url.pathname })
      expect(answer.statusCode, file).toBe(200)
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      const again = { 'if-none-match': String(answer.headers['etag']) }
      const second = await server.inject({ url: url.pathname, headers: again })
      expect(second).toMatchObject({ statusCode: 304, body: '' })
    }
  })

  it('may run its own scripts and nothing else', async () => {
    const server = serverOf(fakeNodeApi())
    const page = await server.inject({ url: '/docs/' })
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).not.toMatch(/https?:|\*/)
    // Nothing in it would need more than that.
    expect(page.body).not.toMatch(/<script(?![^>]*src=)|\son\w+=|style=/)
    const script = (await server.inject({ url: '/docs/page.js' })).body
    expect(script).toContain('validatorUrl: null')
    expect(script).not.toMatch(/https?:/)
  })

  it('says under which name this node may be addressed, as every route does', async () => {
    const headers = { host: 'evil.example' }
    for (const url of ['/docs/', '/openapi.json', '/docs/swagger-ui-bundle.js']) {
      const answer = await serverOf(fakeNodeApi()).inject({ url, headers })
      expect(answer.json()).toMatchObject({ code: 'BAD_HOST' })
    }
  })
})

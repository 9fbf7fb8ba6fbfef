// What the API is, for programs (/openapi.json) and for people (/docs/): made and read when first
// asked for, open to everybody, and without a byte from elsewhere.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GonkError } from '../core/errors.ts'
import { hasTag, tagOf } from './conditional.ts'

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  // Swagger UI sets styles on elements.
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>gonk-node API</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="swagger-ui.css" />
  </head>
  <body>
    <div id="page"></div>
    <noscript>This page needs JavaScript. <a href="/openapi.json">openapi.json</a> does not.</noscript>
    <script src="swagger-ui-bundle.js"></script>
    <script src="page.js"></script>
  </body>
</html>
`
// No validator: it would send the address of this node to somebody else.
const script = `SwaggerUIBundle({
  url: '../openapi.json',
  dom_id: '#page',
  deepLinking: true,
  validatorUrl: null,
  displayOperationId: true,
  docExpansion: 'list',
})
`
const javascript = 'text/javascript; charset=utf-8'

/** Files of Swagger UI that the page needs. */
export const assets: Readonly<Record<string, string>> = {
  'swagger-ui-bundle.js': javascript,
  'swagger-ui.css': 'text/css; charset=utf-8',
}

interface Document {
  readonly type: string
  readonly text: string
  readonly tag: string
}

export async function docsPlugin(
  app: FastifyInstance,
  { version }: { readonly version: string },
): Promise<void> {
  const known = new Map<string, Promise<Document>>()
  const serve =
    (name: string, type: string, make: () => Promise<string>) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const making = known.get(name) ?? make().then((text) => ({ type, text, tag: tagOf(text) }))
      known.set(name, making)
      making.catch(() => known.delete(name))
      return send(await making, request, reply)
    }
  app.get(
    '/openapi.json',
    serve('openapi.json', 'application/json; charset=utf-8', async () => {
      const { openApi } = await import('./openapi.ts')
      return JSON.stringify(openApi(version))
    }),
  )
  app.get('/docs', async (_request, reply) => reply.redirect('/docs/', 308))
  app.get(
    '/docs/',
    serve('page', 'text/html; charset=utf-8', async () => page),
  )
  app.get(
    '/docs/page.js',
    serve('page.js', javascript, async () => script),
  )
  for (const [name, type] of Object.entries(assets)) {
    app.get(
      `/docs/${name}`,
      serve(name, type, () => readAsset(name)),
    )
  }
}

function send({ type, text, tag }: Document, request: FastifyRequest, reply: FastifyReply) {
  reply.headers({
    etag: tag,
    'cache-control': 'no-cache',
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  if (hasTag(request.headers['if-none-match'], tag)) return reply.code(304).send()
  return reply.type(type).send(text)
}

/** From beside the program, where the build puts it, else from the package of Swagger UI. */
async function readAsset(name: string): Promise<string> {
  for (const directory of assetDirectories()) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  throw new GonkError('UNSUPPORTED', 'the files of the documentation page are not installed', {
    hint: 'install @fastify/swagger-ui, or read /openapi.json',
  })
}

function* assetDirectories(): Generator<string> {
  yield fileURLToPath(new URL('../swagger-ui/', import.meta.url))
  yield fileURLToPath(new URL('../../swagger-ui/', import.meta.url))
  try {
    const require = createRequire(import.meta.url)
    yield join(dirname(require.resolve('@fastify/swagger-ui/package.json')), 'static')
  } catch {
    return
  }
}

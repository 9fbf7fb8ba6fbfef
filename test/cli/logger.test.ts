import { expect, it } from 'vitest'
import { createLogger, prettyLine } from '../../src/logger.ts'

function logged(pretty: boolean, work: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = ''
  const destination = { write: (line: string) => (text += line) }
  work(createLogger({ level: 'info', pretty, destination }))
  return text
}

it('secrets never reach the log', () => {
  const text = logged(false, (logger) => {
    logger.info({ token: 'hush', apiKey: 'hush', authorization: 'hush' }, 'top')
    logger.info(
      { daemon: { token: 'hush' }, request: { headers: { authorization: 'hush' } } },
      'deep',
    )
    logger.child({ area: 'http', token: 'hush' }).info({}, 'child')
  })
  expect(text).not.toContain('hush')
  expect(text.match(/\[secret\]/g)).toHaveLength(6)
})

it('a line is JSON with time, level, area and fields', () => {
  const text = logged(false, (logger) =>
    logger.child({ area: 'network' }).warn({ n: 1 }, 'refused'),
  )
  expect(JSON.parse(text)).toMatchObject({ level: 'warn', area: 'network', n: 1, msg: 'refused' })
})

it('for people it is one short line', () => {
  const text = logged(true, (logger) => {
    logger.child({ area: 'network' }).warn({ peer: 'p', why: 'too large' }, 'refused')
    logger.debug({}, 'not shown')
  })
  expect(text).toMatch(/^\d\d:\d\d:\d\d warn network: refused peer=p why="too large"\n$/)
  const line = JSON.stringify({
    time: '2026-01-01T10:00:00Z',
    level: 'error',
    err: { message: 'a\nb' },
  })
  expect(prettyLine(line).trimEnd()).not.toContain('\n')
})

// Foreign text in the form people and JSON get it.
import { describe, expect, test } from 'vitest'
import { oneLine, timeText } from '../../src/api/text.ts'

describe('a line of foreign text', () => {
  test.each([
    ['a terminal sequence', '\u001b[2J\u009b'],
    ['an end of line', '\r\n\u0085\u2028\u2029'],
    ['an Arabic letter mark', '\u061c'],
    ['a zero width space or joiner', '\u200b\u200d'],
    ['a change of direction', '\u200e\u202e\u2066'],
    ['a byte order mark', '\ufeff'],
    ['a tag character', '\u{e0001}\u{e0041}'],
  ])('has no %s', (_, hidden) => {
    const line = oneLine(`before${hidden}after`)
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    expect(line).toMatch(/^before.*after$/u)
  })

  test('keeps what can be read, and ends after 200 characters', () => {
    expect(oneLine(' é – 日本 🙂 ')).toBe('é – 日本 🙂')
    expect(oneLine('🙂'.repeat(201))).toBe(`${'🙂'.repeat(199)}…`)
  })
})

test('times past what RFC 3339 can write are shown as its end', () => {
  expect(timeText(Number.MAX_SAFE_INTEGER)).toBe('9999-12-31T23:59:59.999Z')
  expect(timeText(0)).toBe('1970-01-01T00:00:00.000Z')
})

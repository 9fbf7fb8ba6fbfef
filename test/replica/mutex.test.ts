import { expect, it } from 'vitest'
import { Mutex } from '../../src/replica/mutex.ts'

/** Tasks that tell their name when they begin, and end a little later. */
function aQueue() {
  const mutex = new Mutex()
  const began: string[] = []
  let atOnce = 0
  const ask = (name: string, isPatient = false) =>
    mutex.run(
      async () => {
        began.push(name)
        expect(++atOnce).toBe(1)
        await Promise.resolve()
        atOnce--
        return name
      },
      { isPatient },
    )
  return { mutex, began, ask }
}

it('runs one task at a time, in the order asked, and gives back what each gives', async () => {
  const { began, ask } = aQueue()
  expect(await Promise.all([ask('a'), ask('b'), ask('c')])).toEqual(['a', 'b', 'c'])
  expect(await ask('d')).toBe('d')
  expect(began).toEqual(['a', 'b', 'c', 'd'])
})

it('goes on after a task that failed, even one that throws at once', async () => {
  const { mutex, ask } = aQueue()
  const failed = mutex.run(() => {
    throw new Error('at once')
  })
  const after = ask('after')
  await expect(failed).rejects.toThrow('at once')
  expect(await after).toBe('after')
})

it('lets others go before those that are patient', async () => {
  const { began, ask } = aQueue()
  await Promise.all([ask('p1', true), ask('p2', true), ask('a'), ask('b')])
  expect(began).toEqual(['a', 'b', 'p1', 'p2'])
})

it('gives the patient their turn, however many others there are', async () => {
  const { began, ask } = aQueue()
  const others = Array.from({ length: 40 }, (_, i) => `${i}`)
  await Promise.all([ask('p1', true), ask('p2', true), ...others.map((name) => ask(name))])
  expect([began.indexOf('p1'), began.indexOf('p2')]).toEqual([16, 33])
  expect(began).toHaveLength(42)
})

import { describe, expect, it } from 'vitest'
import { scheduleDefaults, SyncSchedule } from '../../src/replica/sync-schedule.ts'

const { patienceMs, turnMs, periodMinMs, backoffMaxMs } = scheduleDefaults

describe('the sync schedule', () => {
  it('begins one session at a time, and another when the first is stuck', () => {
    const schedule = new SyncSchedule()
    schedule.want('a', 'peer-seen', 0)
    schedule.want('b', 'peer-seen', 0)
    expect(schedule.begin(0)).toEqual([{ peer: 'a', reason: 'peer-seen' }])
    expect(schedule.begin(1)).toEqual([])
    schedule.progressed('a', 1_000)
    expect(schedule.nextMs(1_000)).toBe(1_000 + patienceMs)
    expect(schedule.begin(1_000 + patienceMs)).toEqual([{ peer: 'b', reason: 'peer-seen' }])
    schedule.ended('a', 'done', 4_000, 0)
    expect(schedule.nextMs(4_000)).toBe(4_000 + periodMinMs)
  })

  it('ends the turn of a peer that gets on only when another waits', () => {
    const schedule = new SyncSchedule()
    schedule.want('a', 'peer-seen', 0)
    schedule.begin(0)
    expect(schedule.isTurnOver('a', turnMs)).toBe(false)
    schedule.want('b', 'have', turnMs)
    schedule.progressed('a', turnMs)
    expect(schedule.isTurnOver('a', turnMs - 1)).toBe(false)
    expect(schedule.isTurnOver('a', turnMs)).toBe(true)
    schedule.ended('a', 'more', turnMs, 0)
    expect(schedule.begin(turnMs).map(({ peer }) => peer)).toEqual(['b'])
    schedule.ended('b', 'done', turnMs, 0)
    expect(schedule.begin(turnMs).map(({ peer }) => peer)).toEqual(['a'])
  })

  it('never runs two sessions with one peer, and remembers what was wanted meanwhile', () => {
    const schedule = new SyncSchedule()
    schedule.want('a', 'peer-seen', 0)
    schedule.begin(0)
    schedule.want('a', 'missing-parents', 10)
    expect(schedule.begin(10_000)).toEqual([])
    schedule.ended('a', 'done', 10_000, 0)
    expect(schedule.begin(10_000)).toEqual([{ peer: 'a', reason: 'missing-parents' }])
  })

  it('keeps the earlier time and the weightier reason', () => {
    const schedule = new SyncSchedule()
    schedule.want('a', 'have', 5)
    schedule.want('a', 'missing-parents', 20)
    expect(schedule.begin(5)).toEqual([{ peer: 'a', reason: 'missing-parents' }])
  })

  it('doubles the wait after failures up to a minute, whatever is wanted but what is asked', () => {
    const schedule = new SyncSchedule()
    let nowMs = 0
    const waits: number[] = []
    schedule.want('a', 'peer-seen', 0)
    for (let i = 0; i < 9; i++) {
      expect(schedule.begin(nowMs)).toHaveLength(1)
      schedule.ended('a', 'failed', nowMs, 1)
      schedule.want('a', 'have', nowMs)
      waits.push(schedule.nextMs(nowMs) - nowMs)
      nowMs = schedule.nextMs(nowMs)
    }
    expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000])
    expect(waits.at(-1)).toBe(backoffMaxMs)
    schedule.begin(nowMs)
    schedule.ended('a', 'failed', nowMs, 1)
    schedule.want('a', 'asked', nowMs)
    expect(schedule.begin(nowMs)).toEqual([{ peer: 'a', reason: 'asked' }])
  })

  it('does not let a peer clear its failures by leaving and coming back', () => {
    const schedule = new SyncSchedule()
    schedule.want('a', 'peer-seen', 0)
    schedule.begin(0)
    schedule.ended('a', 'failed', 0, 1)
    schedule.lost('a')
    expect(schedule.nextMs(0)).toBe(Infinity)
    schedule.want('a', 'peer-seen', 10)
    expect(schedule.nextMs(10)).toBe(1_000)
  })
})

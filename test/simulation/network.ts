import { VenueConnectionError } from '../../src/venues/errors.ts'
import type { Dice, Owner, Scheduler } from './scheduler.ts'

/** How likely things go wrong, each a probability. All 0 when a history comes to its end. */
export interface Weather {
  readonly callLostBefore: number
  readonly callLostAfter: number
  /** The caller gives up, and the call takes effect all the same, perhaps behind its own repetition. */
  readonly callLate: number
  readonly requestFailed: number
  readonly frameLost: number
  readonly frameTwice: number
  readonly frameReordered: number
  readonly slow: number
}

export const calm: Weather = {
  ...{ callLostBefore: 0, callLostAfter: 0, callLate: 0, requestFailed: 0, frameLost: 0 },
  ...{ frameTwice: 0, frameReordered: 0, slow: 0 },
}

export function weatherOf(dice: Dice): Weather {
  const rare = (most: number): number => (dice.chance(0.4) ? 0 : dice.between(0, most))
  return {
    ...{ callLostBefore: rare(0.2), callLostAfter: rare(0.2), callLate: rare(0.1), requestFailed: rare(0.4) },
    ...{ frameLost: rare(0.1), frameTwice: rare(0.1), frameReordered: rare(0.15), slow: rare(0.1) },
  }
}

const TIMEOUT_MS = 1_000

/** Calls between a process and what it does not run itself, with everything that may happen to them on the way. */
export class Network {
  readonly scheduler: Scheduler
  readonly dice: Dice
  weather: Weather
  /** For the history that is printed. */
  readonly tell: (line: string) => void

  constructor(scheduler: Scheduler, dice: Dice, weather: Weather, tell: (line: string) => void) {
    this.scheduler = scheduler
    this.dice = dice
    this.weather = weather
    this.tell = tell
  }

  delayMs(): number {
    const { dice, weather } = this
    return dice.chance(weather.slow) ? dice.between(50, 800) : dice.between(0.1, 4)
  }

  /** `work` is done once, or not at all where the call is lost before. */
  call<Answer>(owner: Owner, name: string, work: () => Answer | Promise<Answer>): Promise<Answer> {
    const { scheduler, dice, weather } = this
    const fate = dice.next()
    const isLostBefore = fate < weather.callLostBefore
    const isLostAfter = !isLostBefore && fate < weather.callLostBefore + weather.callLostAfter
    const isLate = dice.chance(weather.callLate)
    return new Promise<Answer>((resolve, reject) => {
      const fail = (how: string, delayMs: number): void => {
        scheduler.after(delayMs, owner, () => {
          this.tell(`${owner.name}: ${name} ${how}`)
          reject(new Error(`${name} ${how}`))
        })
      }
      if (isLostBefore) {
        fail('was lost before it was made', this.delayMs())
        return
      }
      const lateMs = isLate ? TIMEOUT_MS + dice.between(-500, 1_500) : this.delayMs()
      scheduler.after(lateMs, null, () => {
        let answer: Answer | Promise<Answer>
        try {
          answer = work()
        } catch (error) {
          scheduler.after(0, owner, () => reject(error))
          return
        }
        if (isLate) return
        if (isLostAfter) fail('was made and its reply lost', this.delayMs())
        else scheduler.after(this.delayMs(), owner, () => resolve(answer))
      })
      if (isLate) fail('took longer than its time-out', TIMEOUT_MS)
    })
  }

  /** A request to the venue's REST. */
  request<Answer>(owner: Owner, name: string, work: () => Answer): Promise<Answer> {
    const { scheduler, dice } = this
    return new Promise<Answer>((resolve, reject) => {
      scheduler.after(dice.between(2, 60) + this.delayMs(), null, () => {
        if (dice.chance(this.weather.requestFailed)) {
          scheduler.after(this.delayMs(), owner, () => {
            this.tell(`${owner.name}: ${name} failed`)
            reject(new VenueConnectionError(`${name} failed`))
          })
          return
        }
        const answer = work()
        scheduler.after(dice.between(2, 60) + this.delayMs(), owner, () => resolve(answer))
      })
    })
  }
}

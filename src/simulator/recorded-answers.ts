import type { RestAnswer } from './source.ts'

/** A recorded answer the replay has reached. */
interface Line {
  readonly body: string
  /** Handed to a request whose connection has not yet told whether it was written. */
  inFlight: boolean
  used: boolean
}

/** The recorded answers of one path and symbol. */
interface Shelf {
  /** Lines the replay has not reached yet. */
  ahead: number
  /** Lines reached and not used, oldest first. */
  readonly lines: Line[]
  readonly waiting: ((answer: RestAnswer) => void)[]
}

const WAITING_MAX = 1000
const KEPT_CHARACTERS_MAX = 128 * 1024 * 1024

/** What Binance says when it cannot answer. */
export const unavailableAnswer: RestAnswer = {
  status: 503,
  body: '{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}',
}

/**
 * Lends the recorded REST answers of a capture to requests: by path and symbol, in the order of the recording, each once.
 *
 * 1. A request waits until the replay has reached a line for it; without any line left it is answered 503 at once.
 * 2. A line that was passed without being asked for stays, and is the next one lent.
 * 3. A line is used up only when its answer was written to a live connection; otherwise it is lent again.
 */
export class RecordedAnswers {
  readonly #shelves = new Map<string, Shelf>()
  #keptCharacters = 0
  #dropped = 0
  #closed = false
  /** Called whenever a line was used up. */
  onUsed: () => void = () => {}

  /** One more line of this path and symbol lies ahead; told for the whole capture before the replay begins. */
  expect(path: string, symbol: string): void {
    const key = keyOf(path, symbol)
    const shelf = this.#shelves.get(key)
    if (shelf) shelf.ahead++
    else this.#shelves.set(key, { ahead: 1, lines: [], waiting: [] })
  }

  has(path: string, symbol: string): boolean {
    return this.#shelves.has(keyOf(path, symbol))
  }

  /** The replay has reached the next line. The answer tells whether it has been used since. */
  reach(path: string, symbol: string, body: string): { readonly used: boolean } {
    const line: Line = { body, inFlight: false, used: false }
    const shelf = this.#shelves.get(keyOf(path, symbol))
    if (!shelf) return line
    shelf.ahead--
    shelf.lines.push(line)
    this.#keptCharacters += body.length
    this.#lend(shelf)
    this.#dropOverBound()
    return line
  }

  ask(path: string, symbol: string): Promise<RestAnswer> {
    const shelf = this.#shelves.get(keyOf(path, symbol))
    if (this.#closed || !shelf || shelf.waiting.length >= WAITING_MAX) return Promise.resolve(unavailableAnswer)
    return new Promise((resolve) => {
      shelf.waiting.push(resolve)
      this.#lend(shelf)
    })
  }

  /** Nothing more will be reached: whoever waits is told so. */
  close(): void {
    this.#closed = true
    for (const shelf of this.#shelves.values()) {
      shelf.ahead = 0
      this.#lend(shelf)
      for (const resolve of shelf.waiting.splice(0)) resolve(unavailableAnswer)
    }
  }

  state(): { waiting: number; kept: number; ahead: number; dropped: number } {
    let waiting = 0
    let kept = 0
    let ahead = 0
    for (const shelf of this.#shelves.values()) {
      waiting += shelf.waiting.length
      kept += shelf.lines.length
      ahead += shelf.ahead
    }
    return { waiting, kept, ahead, dropped: this.#dropped }
  }

  #lend(shelf: Shelf): void {
    while (shelf.waiting.length > 0) {
      const line = shelf.lines.find((candidate) => !candidate.inFlight)
      if (!line) break
      line.inFlight = true
      shelf.waiting.shift()?.({
        status: 200,
        body: line.body,
        written: (delivered) => this.#settle(shelf, line, delivered),
      })
    }
    // A line in flight may come back, so only an empty shelf is a final no.
    if (shelf.ahead === 0 && shelf.lines.length === 0) {
      for (const resolve of shelf.waiting.splice(0)) resolve(unavailableAnswer)
    }
  }

  #settle(shelf: Shelf, line: Line, delivered: boolean): void {
    if (line.used || !line.inFlight) return
    line.inFlight = false
    if (delivered) {
      line.used = true
      this.#remove(shelf, line)
      this.onUsed()
    }
    this.#lend(shelf)
  }

  #remove(shelf: Shelf, line: Line): void {
    const index = shelf.lines.indexOf(line)
    if (index === -1) return
    shelf.lines.splice(index, 1)
    this.#keptCharacters -= line.body.length
  }

  /** At the bound the oldest answers of the fullest shelf go: they are the least likely to join a book. */
  #dropOverBound(): void {
    while (this.#keptCharacters > KEPT_CHARACTERS_MAX) {
      let fullest: Shelf | undefined
      for (const shelf of this.#shelves.values()) {
        if (!fullest || shelf.lines.length > fullest.lines.length) fullest = shelf
      }
      const oldest = fullest?.lines.find((line) => !line.inFlight)
      if (!fullest || !oldest || fullest.lines.length < 2) return
      this.#remove(fullest, oldest)
      this.#dropped++
    }
  }
}

function keyOf(path: string, symbol: string): string {
  return `${path} ${symbol}`
}

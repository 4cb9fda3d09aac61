/**
 * The ledger's events of one channel, 21 bytes each, so that millions fit: a place in the venue's order (two numbers),
 * a hash of the content, and what became of it. Looked up by place.
 */

/** Events of one channel at most; a ledger beyond it is refused. */
export const TABLE_EVENTS_MAX = 20_000_000

/** What became of an event, as bits: the stream showed it; a fault took it from every client. */
const SEEN = 1
const STRUCK = 2
/** A fault is told right behind the event it struck; further back none is looked for. */
const STRUCK_BEHIND_MAX = 1_000

export class EventTable {
  #majors = new Float64Array(64)
  #minors = new Float64Array(64)
  #hashes = new Uint32Array(64)
  #fates = new Uint8Array(64)
  #length = 0
  #sorted = true

  get length(): number {
    return this.#length
  }

  /** Throws: RangeError beyond `TABLE_EVENTS_MAX`. */
  add(major: number, minor: number, hash: number): void {
    const at = this.#length
    if (at >= TABLE_EVENTS_MAX) throw new RangeError(`expected at most ${TABLE_EVENTS_MAX} ledger events a channel`)
    if (at === this.#majors.length) this.#grow(at * 2)
    this.#majors[at] = major
    this.#minors[at] = minor
    this.#hashes[at] = hash
    this.#length = at + 1
    if (at > 0 && this.#compare(at - 1, major, minor) > 0) this.#sorted = false
  }

  /** To be called once, when all are in. A recording may hold an event twice or late; the order is the venue's. */
  close(): void {
    if (this.#sorted) return
    const order = Array.from({ length: this.#length }, (_, at) => at)
    order.sort((one, other) => this.#compare(one, this.major(other), this.minor(other)) || one - other)
    const from = { majors: this.#majors, minors: this.#minors, hashes: this.#hashes, fates: this.#fates }
    this.#majors = Float64Array.from(order, (at) => from.majors[at] as number)
    this.#minors = Float64Array.from(order, (at) => from.minors[at] as number)
    this.#hashes = Uint32Array.from(order, (at) => from.hashes[at] as number)
    this.#fates = Uint8Array.from(order, (at) => from.fates[at] as number)
    this.#sorted = true
  }

  major(at: number): number {
    return this.#majors[at] as number
  }

  minor(at: number): number {
    return this.#minors[at] as number
  }

  seen(at: number): boolean {
    return ((this.#fates[at] as number) & SEEN) !== 0
  }

  struck(at: number): boolean {
    return ((this.#fates[at] as number) & STRUCK) !== 0
  }

  /** To be called before `close`, right behind the event. */
  strike(major: number, minor: number): void {
    const end = Math.max(0, this.#length - STRUCK_BEHIND_MAX)
    for (let at = this.#length - 1; at >= end; at -= 1) {
      if (this.#compare(at, major, minor) !== 0) continue
      this.#fates[at] = (this.#fates[at] as number) | STRUCK
      return
    }
  }

  /** Index of the first event at or above the place; `length` when all are below. */
  indexAt(major: number, minor: number): number {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, major, minor) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Index behind the last event at the place of the event at `at`. */
  behind(at: number): number {
    const major = this.major(at)
    const minor = this.minor(at)
    let end = at
    while (end < this.#length && this.#compare(end, major, minor) === 0) end += 1
    return end
  }

  holds(at: number, major: number, minor: number): boolean {
    return at < this.#length && this.#compare(at, major, minor) === 0
  }

  /** Whether an event at the place of `at` has this content. */
  matches(at: number, hash: number): boolean {
    for (let same = at; same < this.behind(at); same += 1) if (this.#hashes[same] === hash) return true
    return false
  }

  /** Marks every event at the place of `at`; false when it was marked before. */
  mark(at: number): boolean {
    if (this.seen(at)) return false
    const end = this.behind(at)
    for (let same = at; same < end; same += 1) this.#fates[same] = (this.#fates[same] as number) | SEEN
    return true
  }

  /** Events in `from..to` (indices, `to` excluded) that the stream has not shown. */
  unseen(from: number, to: number): number {
    let count = 0
    for (let at = Math.max(0, from); at < to; at += 1) if (!this.seen(at)) count += 1
    return count
  }

  #compare(at: number, major: number, minor: number): number {
    return this.major(at) - major || this.minor(at) - minor
  }

  #grow(size: number): void {
    const majors = new Float64Array(size)
    majors.set(this.#majors)
    this.#majors = majors
    const minors = new Float64Array(size)
    minors.set(this.#minors)
    this.#minors = minors
    const hashes = new Uint32Array(size)
    hashes.set(this.#hashes)
    this.#hashes = hashes
    const fates = new Uint8Array(size)
    fates.set(this.#fates)
    this.#fates = fates
  }
}

/** FNV-1a, 32 bits: tells a changed content of a known event from the right one. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** A set of texts that keeps 63 bits of each: among 100 million, two are mistaken for one another once in 1,800 runs. */
export class TextSet {
  #low = new Uint32Array(1024)
  #high = new Uint32Array(1024)
  #size = 0

  /** False when it was there. */
  add(text: string): boolean {
    if (this.#size * 2 >= this.#low.length) this.#grow()
    // Two lanes that are mixed at the end, after cyrb53 by bryc (public domain).
    let one = 0xdeadbeef
    let two = 0x41c6ce57
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at)
      one = Math.imul(one ^ code, 2654435761)
      two = Math.imul(two ^ code, 1597334677)
    }
    one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
    two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909)
    // A free place is zero, so the low half never is.
    return this.#insert((one | 1) >>> 0, two >>> 0)
  }

  #insert(low: number, high: number): boolean {
    const mask = this.#low.length - 1
    let at = (low ^ high) & mask
    while (this.#low[at] !== 0) {
      if (this.#low[at] === low && this.#high[at] === high) return false
      at = (at + 1) & mask
    }
    this.#low[at] = low
    this.#high[at] = high
    this.#size += 1
    return true
  }

  #grow(): void {
    const low = this.#low
    const high = this.#high
    this.#low = new Uint32Array(low.length * 2)
    this.#high = new Uint32Array(low.length * 2)
    this.#size = 0
    for (let at = 0; at < low.length; at += 1) if (low[at] !== 0) this.#insert(low[at] as number, high[at] as number)
  }
}

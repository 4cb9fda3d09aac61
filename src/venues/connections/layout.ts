import { SIGNS, type StreamProtocol } from '../venue.ts'
import { bequeath } from './coverage.ts'
import type { Line } from './line.ts'
import type { ConnectionsOptions } from './options.ts'
import { placeGroup } from './packing.ts'
import { type Group, Slot } from './slot.ts'
import { Topic } from './topic.ts'

/** Which topic belongs to which group and which group to which slot. Knows nothing of sockets beyond asking lines to carry. */
export class Layout {
  readonly slots = new Map<number, Slot>()
  readonly topics = new Map<string, Topic>()
  /** Groups on their way from one slot to another. */
  readonly moving = new Set<Group>()
  readonly #groups = new Map<string, Group>()
  readonly #protocol: StreamProtocol
  readonly #options: ConnectionsOptions
  #nextSlotId = 1

  constructor(protocol: StreamProtocol, options: ConnectionsOptions) {
    this.#protocol = protocol
    this.#options = options
  }

  /** Takes up topics that are not there yet; their slots' lines are asked to carry them. */
  add(names: Iterable<string>, nowUs: number): void {
    const fresh = new Map<string, Topic[]>()
    for (const name of names) {
      const key = this.#groupKey(name, fresh)
      const topic = new Topic(name, key, nowUs)
      this.topics.set(name, topic)
      const others = fresh.get(key)
      if (others) others.push(topic)
      else fresh.set(key, [topic])
    }
    // Whole groups at a time, so that the size of a group is known when its place is chosen.
    for (const [key, added] of fresh) this.#place(key, added)
  }

  /** Lets a topic go; its carriers are the caller's to end. */
  remove(topic: Topic): void {
    this.topics.delete(topic.name)
    const group = this.#groups.get(topic.group)
    if (group === undefined) return
    group.topics.delete(topic.name)
    this.#findWitnesses(group)
    if (group.topics.size > 0) return
    this.#groups.delete(group.name)
    this.moving.delete(group)
    group.slot.groups.delete(group)
  }

  /** Gives the group another slot, whose lines are asked to carry it; the old lines go on until `moved`. */
  move(group: Group): void {
    const from = group.slot
    from.groups.delete(group)
    group.slot = this.#slotFor(group.topics.size, from)
    group.slot.groups.add(group)
    group.leaving = { slot: from, coveredSinceMs: 0 }
    this.moving.add(group)
    this.#carry(group, group.topics.values())
  }

  /** Connections that are renewed now because of their age. */
  get renewalsCount(): number {
    let count = 0
    for (const { renewReason } of this.slots.values()) if (renewReason === 'lifetime') count += 1
    return count
  }

  /** All there are, one that takes over before the one that it replaces. */
  get lines(): Line[] {
    return [...this.slots.values()].flatMap(({ successor, line }) => [successor, line].filter((one) => one !== null))
  }

  get openLinesCount(): number {
    return this.lines.filter(({ state }) => state === 'open').length
  }

  /** The new lines have the group: the old ones give it up. */
  moved(group: Group): void {
    group.leaving = null
    this.moving.delete(group)
    for (const topic of group.topics.values()) {
      for (const carrier of [...topic.carriers]) {
        if (carrier.line.slotId === group.slot.id) continue
        bequeath(carrier, true)
        carrier.line.unwant(carrier)
      }
    }
  }

  /** Holds nothing, and nothing leans on it until it has moved. */
  isIdle(slot: Slot): boolean {
    return slot.groups.size === 0 && !this.isLeft(slot)
  }

  /** Whether a group on its way elsewhere still leans on this slot. */
  isLeft(slot: Slot): boolean {
    for (const group of this.moving) if (group.leaving?.slot === slot) return true
    return false
  }

  /** A group that would not fit into one connection goes on under a key of its own. */
  #groupKey(name: string, fresh: ReadonlyMap<string, readonly Topic[]>): string {
    const at = name.indexOf('@')
    let key = this.#protocol.groupOf?.(name) ?? (at > 0 ? name.slice(0, at) : name)
    const max = this.#protocol.limits.topicsPerConnectionMax
    while ((this.#groups.get(key)?.topics.size ?? 0) + (fresh.get(key)?.length ?? 0) >= max) key += '+'
    return key
  }

  #place(key: string, added: readonly Topic[]): void {
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { name: key, slot: this.#slotFor(added.length, null), topics: new Map(), leaving: null }
      this.#groups.set(key, group)
      group.slot.groups.add(group)
    }
    for (const topic of added) group.topics.set(topic.name, topic)
    this.#findWitnesses(group)
    // Known groups may grow past the preferred bound where they are, not past the venue's.
    if (group.slot.load > this.#protocol.limits.topicsPerConnectionMax) this.move(group)
    else this.#carry(group, added)
  }

  #carry(group: Group, topics: Iterable<Topic>): void {
    for (const topic of topics) {
      group.slot.line?.want(topic)
      group.slot.successor?.want(topic)
    }
  }

  #slotFor(size: number, besides: Slot | null): Slot {
    const hardMax = this.#protocol.limits.topicsPerConnectionMax
    const bounds = { preferredMax: this.#options.topicsPerConnection, hardMax }
    const candidates = [...this.slots.values()].filter((slot) => slot !== besides)
    const known = placeGroup(candidates, size, bounds)
    if (known !== null) return known
    const slot = new Slot(this.#nextSlotId++)
    this.slots.set(slot.id, slot)
    return slot
  }

  #findWitnesses(group: Group): void {
    const topics = [...group.topics.values()]
    for (const topic of topics) {
      topic.witnesses = topics.flatMap((other) =>
        SIGNS.filter(
          (sign) => other !== topic && this.#protocol.mustMoveWith?.(topic.name, other.name, sign) === true,
        ).map((sign) => ({ topic: other, sign })),
      )
    }
  }
}

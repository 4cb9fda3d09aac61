/** How topics are laid into connections and messages. Pure. */

export const NO_BATCH_BOUND = Number.MAX_SAFE_INTEGER

export interface PackingBounds {
  /** A connection is not chosen for a new group once it would hold more than this. */
  readonly preferredMax: number
  /** The venue's bound; never exceeded. */
  readonly hardMax: number
}

/**
 * Chooses a connection for a group of `size` topics that must stay together: the first with room below the preferred
 * bound. null: open a new one, also for a group that alone exceeds the preferred bound.
 */
export function placeGroup<Slot extends { readonly load: number }>(
  slots: Iterable<Slot>,
  size: number,
  bounds: PackingBounds,
): Slot | null {
  const bound = Math.min(bounds.preferredMax, bounds.hardMax)
  for (const slot of slots) if (slot.load + size <= bound) return slot
  return null
}

/** Quotes and comma around a name inside a JSON list. */
const NAME_OVERHEAD_BYTES = 3
/** Method, id and brackets of a control message, generously. */
const ENVELOPE_BYTES = 96

export interface Batchable {
  readonly name: string
  /** This one must not share a message with more than `batchMax - 1` others; lowered after an error to find the culprit. */
  readonly batchMax: number
}

/** The first of `items` that fit into one control message bounded in count and bytes; at least one if there is any. */
export function takeBatch<Item extends Batchable>(items: Iterable<Item>, countMax: number, bytesMax: number): Item[] {
  const batch: Item[] = []
  let bytes = ENVELOPE_BYTES
  let count = countMax
  for (const item of items) {
    const itemBytes = Buffer.byteLength(item.name) + NAME_OVERHEAD_BYTES
    const countWithItem = Math.min(count, item.batchMax)
    if (batch.length > 0 && (batch.length >= countWithItem || bytes + itemBytes > bytesMax)) break
    batch.push(item)
    bytes += itemBytes
    count = countWithItem
  }
  return batch
}

/** Names that may stand together in any number. */
export function* unbounded(names: Iterable<string>): Generator<{ name: string; batchMax: number }> {
  for (const name of names) yield { name, batchMax: NO_BATCH_BOUND }
}

/** Those whose time has come. */
export function* due<Item extends { readonly retryAtMs: number }>(
  items: Iterable<Item>,
  nowMs: number,
): Generator<Item> {
  for (const item of items) if (item.retryAtMs <= nowMs) yield item
}

import assert from 'node:assert'

export const SLAB_BYTES = 256 * 1024
/** A piece of more has memory of its own, so that little is left unused at the end of a slab. */
const PIECE_BYTES_MAX = SLAB_BYTES / 8
/** Kept for what comes; what is beyond goes to the collector. */
const FREE_SLABS_MAX = 4

/** Memory in which pieces stand one behind the other. */
export interface Slab {
  readonly memory: Buffer
  /** Where the newest piece ends. */
  end: number
  /** How many of its pieces were not given back. */
  pieces: number
}

/**
 * Memory for many small pieces that are kept about equally long: it serves again once all pieces of a slab were given back.
 * Left to the collector, which finds what dies old at its next full collection alone, it would come to a multiple of what is kept.
 */
export class Slabs {
  readonly #free: Slab[] = []
  #current = newSlab(SLAB_BYTES)
  /** All there is, also what is free or was left unused at the end of a slab. */
  bytes = SLAB_BYTES

  /** Makes room for so many bytes: the last before the slab's end. Whoever took it has it alone until it is given back. */
  take(bytes: number): Slab {
    if (bytes > PIECE_BYTES_MAX) {
      const slab = this.#newSlab(bytes)
      slab.end = bytes
      slab.pieces = 1
      return slab
    }
    // One that has no pieces has begun anew, so it has room.
    if (this.#current.end + bytes > SLAB_BYTES) this.#current = this.#free.pop() ?? this.#newSlab(SLAB_BYTES)
    const slab = this.#current
    slab.end += bytes
    slab.pieces++
    return slab
  }

  /** Gives a piece back; nobody may look at it any more. */
  giveBack(slab: Slab): void {
    assert(slab.pieces > 0, 'a piece of memory was given back twice')
    if (--slab.pieces > 0) return
    slab.end = 0
    if (slab === this.#current) return
    if (slab.memory.length === SLAB_BYTES && this.#free.length < FREE_SLABS_MAX) this.#free.push(slab)
    else this.bytes -= slab.memory.length
  }

  #newSlab(bytes: number): Slab {
    this.bytes += bytes
    return newSlab(bytes)
  }
}

function newSlab(bytes: number): Slab {
  return { memory: Buffer.allocUnsafeSlow(bytes), end: 0, pieces: 0 }
}

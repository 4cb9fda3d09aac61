import type { ChannelBatch, Offer, OfferReader, SentCall } from '../../src/bus/publish.ts'

/** What was published as it was then: of the offers only what travels, each as its length and its text. */
export class SentCopy implements SentCall {
  #batches: Buffer[] | null

  constructor(batches: readonly ChannelBatch[]) {
    this.#batches = batches.map(({ offers }) => Buffer.concat(offers.map(bytesOf)))
  }

  readonly reader: OfferReader = {
    read(memory, start, count) {
      let at = start
      return Array.from({ length: count }, () => {
        const from = at + 4
        at = from + memory.readUInt32LE(at)
        return JSON.parse(memory.toString('utf8', from, at)) as Offer
      })
    },
  }

  bytesOf(index: number): number {
    return this.#batch(index).length
  }

  copy(index: number, memory: Buffer, at: number): void {
    this.#batch(index).copy(memory, at)
  }

  release(): void {
    this.#batches = null
  }

  #batch(index: number): Buffer {
    if (this.#batches === null) throw new Error('expected a call that was not released')
    return this.#batches[index] as Buffer
  }
}

function bytesOf(offer: Offer): Buffer {
  const text = Buffer.from(JSON.stringify(plainOffer(offer)))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(text.length)
  return Buffer.concat([length, text])
}

function plainOffer(offer: Offer): Offer {
  const { kind, id, first, venueTimeUs, receivedTimeUs, source, trace, declare, refresh, data } = offer
  return { kind, id, first, venueTimeUs, receivedTimeUs, source, trace, declare, refresh, data }
}

import type { MemberView } from './membership.ts'

export interface EvidenceInput {
  /** This life of this process. */
  readonly incarnation: string
  /** What it works on. */
  readonly held: ReadonlySet<number>
  /** When the list of members was asked for, us. */
  readonly askedUs: number
}

interface Told {
  readonly us: number
  readonly sinceUs: number
}

/**
 * By then what the venue sent is read and appended by a process that lives, ms; how far it says to be behind comes on top.
 * One that lets go cleanly needs no such time.
 */
export const READ_BY_MS = 2_500

/**
 * Up to when what the venue sent of a partition is in its streams for certain, because another member was sent it too.
 *
 * Whoever subscribed before that time overlaps with the other one: nothing is missing between the two, although no event
 * came by both of them (a bar or statistics of a quiet market). Told is, with every beat, what flows, and for how long the
 * venue was not heard: a connection that died without a word, or a stream that the venue ceased to send, counts as flowing for
 * a while. From that follows:
 * - of a member that let go, that it read and appended all it was sent until it said so, because it says so only then;
 * - of one that lives on, that it did so with what it was sent a while before;
 * - of one that is gone, nothing more.
 *
 * One that owes the stream a gap knows of a hole that begins before its own subscription. Until it has told it, whoever came
 * later owes the same, so that the hole is told by whichever lives; its beats say nothing till then. Nor does anything that was
 * said before nobody could beat.
 */
export class OverlapEvidence {
  /** By life and partition: when that member told last that it flows there and owes nothing, and since when it does, us. */
  readonly #told = new Map<string, Map<number, Told>>()

  /** By partition, us; to be called with every view. */
  look(view: MemberView, input: EvidenceInput): Map<number, number> {
    const found = this.#letGo(view)
    this.#note(view, input)
    for (const { incarnation, facts } of view.members) {
      for (const [partition, { us, sinceUs }] of this.#told.get(incarnation) ?? []) {
        const sureUs = us - (READ_BY_MS + (facts.lagMs ?? 0)) * 1_000
        // What it owed till then is appended by the same measure as all else.
        if (sureUs >= sinceUs) found.set(partition, Math.max(found.get(partition) ?? 0, sureUs))
      }
    }
    return found
  }

  #letGo(view: MemberView): Map<number, number> {
    const found = new Map<number, number>()
    const owned = new Map<string, ReadonlySet<number>>(
      view.members.map(({ incarnation, facts }) => [incarnation, facts.owns]),
    )
    for (const { incarnation } of view.left) owned.set(incarnation, new Set())
    for (const [incarnation, told] of this.#told) {
      const owns = owned.get(incarnation)
      for (const [partition, { us }] of told) {
        if (owns?.has(partition)) continue
        told.delete(partition)
        if (owns !== undefined) found.set(partition, Math.max(found.get(partition) ?? 0, us))
      }
      if (told.size === 0) this.#told.delete(incarnation)
    }
    return found
  }

  #note(view: MemberView, { incarnation, held, askedUs }: EvidenceInput): void {
    for (const { incarnation: other, facts, ageMs, spared } of view.members) {
      if (other === incarnation || spared) continue
      const saidUs = askedUs - ageMs * 1_000
      let told = this.#told.get(other)
      if (told === undefined) {
        told = new Map()
        this.#told.set(other, told)
      }
      for (const partition of facts.untold) told.delete(partition)
      for (const partition of facts.flows) {
        if (!held.has(partition) || facts.untold.has(partition)) continue
        const sinceUs = told.get(partition)?.sinceUs ?? saidUs
        const unheardMs = Math.max(facts.unheardMs, facts.missingMs.get(partition) ?? 0)
        // May be earlier than what was said before: a stream that shows nothing has not done so since its last data.
        told.set(partition, { us: saidUs - unheardMs * 1_000, sinceUs })
      }
    }
  }
}

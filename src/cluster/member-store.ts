/** Roles whose members share work by partition. */
export type ClusterRole = 'ingest' | 'conductor' | 'poller' | 'reader'

/**
 * `joining`: there, and not ready for work: nothing is assigned to it. `active`: works. `leaving`: works on until others
 * have taken over, and is assigned nothing any more.
 */
export type MemberState = 'joining' | 'active' | 'leaving'

/** What a member tells of itself with every beat. */
export interface MemberFacts {
  readonly version: string
  /** Partitions that it works on. */
  readonly owns: ReadonlySet<number>
  /** Those of them whose streams flow. */
  readonly flows: ReadonlySet<number>
  /** Since when all it owns flows, us; null while something does not. */
  readonly flowsSinceUs: number | null
  /**
   * How far it is behind, ms; null: nothing was there to do. The longest way of an event through it since the beat before (from
   * the arrival of a frame to the reply of the script), or for how long it waits for a reply now; of a conductor how old the
   * oldest entry is that it has not folded and committed; or how late it came to make this beat, whichever is most.
   */
  readonly lagMs: number | null
  /** For how long its most silent connection to the venue has shown nothing, ms. */
  readonly unheardMs: number
  /**
   * By partition: for how long one of its streams, of which no numbering shows what is missing, has shown nothing although it
   * should have, ms. The venue may have ceased to send it.
   */
  readonly missingMs: ReadonlyMap<number, number>
  /**
   * Partitions of which a stream without ids was interrupted, or begun, and has shown nothing since: what it missed is told
   * with its next event, and by nobody if the process is gone by then.
   */
  readonly untold: ReadonlySet<number>
}

export interface Member {
  readonly id: string
  /** One life of a process; another one with the same id takes its place. */
  readonly incarnation: string
  /** Redis's clock at its first beat, us. */
  readonly startedUs: number
  /** Since its last beat, by Redis's clock. */
  readonly ageMs: number
  /** It counts as heard because nobody could be: what it says of itself is from before that, nobody knows from when. */
  readonly spared: boolean
  readonly state: MemberState
  readonly facts: MemberFacts
}

export interface Beat {
  readonly id: string
  readonly incarnation: string
  /** As answered to the first beat; null for that one. */
  readonly startedUs: number | null
  /** Rises with every beat of a life: one that comes late, behind a newer one, changes nothing. */
  readonly number: number
  /** `left`: the last one; the member is taken off the list. */
  readonly state: MemberState | 'left'
  readonly facts: MemberFacts
  readonly expiryMs: number
  /** Where nobody at all was heard for longer, the list was out of reach: everybody on it counts as just heard. */
  readonly outageMs: number
}

export interface BeatAnswer {
  /**
   * `member`: on the list. `superseded`: a process with the same id that started later beats, so this one is not.
   * `full`: the list has no room.
   */
  readonly standing: 'member' | 'superseded' | 'full'
  readonly startedUs: number
  /** Which Redis process answered. */
  readonly runId: string
  /** Everybody on the list, also those that have not beaten for longer than the expiry. */
  readonly members: readonly Member[]
}

/** The list of a role's members, kept where all of them can see it. */
export interface MemberStore {
  /** One call: beats, and answers the list. Throws where the list cannot be reached. */
  beat(role: ClusterRole, beat: Beat): Promise<BeatAnswer>
  /** The list, without taking part. Throws where it cannot be reached. */
  list(role: ClusterRole): Promise<readonly Member[]>
}

/**
 * What all processes that ask a venue from one address know together (DESIGN 2, P10). Redis keeps it; its clock is
 * everybody's clock. Every method throws BusError.
 */
export interface LimitStore extends ConnectBudget {
  /** Grants as many of these as fit now, in this order; the first that does not fit ends it. */
  take(wanted: readonly WeightWanted[]): Promise<TakeAnswer>
  /** An answer of the venue, or null status where none came. */
  settle(settlement: Settlement): Promise<void>
  /** The venue's own limit, or how far its clock is ahead of the time at which this is called. */
  learn(learnt: { readonly weightPerMinute?: number; readonly venueNowMs?: number }): Promise<void>
  read(): Promise<LimitState>
  /** True for one owner at a time, for at most `forMs`, who renews it by asking again. */
  lease(name: string, owner: string, forMs: number): Promise<boolean>
  release(name: string, owner: string): Promise<void>
}

/** The connection attempts that a venue allows to one address, over all processes. Every method throws BusError. */
export interface ConnectBudget {
  /** Takes one of at most `max` in any `windowMs`; answers the milliseconds to wait, 0 when it was taken. */
  takeConnect(max: number, windowMs: number): Promise<number>
  /** The venue refused a connection: nobody is granted one for so long. */
  holdConnects(forMs: number): Promise<void>
}

export interface WeightWanted {
  readonly weight: number
  /** What may have been spent in this minute after it, weight: less for what can wait. Null: as much as the limit. */
  readonly share: number
}

export interface TakeAnswer {
  /** How many of those asked for were granted. */
  readonly granted: number
  /** The minute of the venue's clock they are charged to. */
  readonly minute: number
  /** After how long it is worth asking again. */
  readonly waitMs: number
  /** Above 0: the venue wants to be left alone by everybody for so long, and nothing was granted. */
  readonly bannedMs: number
  readonly spent: number
}

export interface Settlement {
  readonly minute: number
  readonly weight: number
  readonly status: number | null
  readonly usedWeight: number | null
  /** How long everybody must be silent; null: the venue did not ask for it. */
  readonly bannedMs: number | null
}

/** Times in milliseconds. */
export interface LimitState {
  readonly weightPerMinute: number
  /** Spent in the present minute, as far as is known. */
  readonly spent: number
  /** Granted and not answered yet. */
  readonly inFlight: number
  /** Whether the present minute's count is known; if not, one request at a time is granted. */
  readonly known: boolean
  readonly minuteEndsInMs: number
  readonly bannedForMs: number
  readonly connectsInWindow: number
  /** What the venue allows in its window; null until somebody connected. */
  readonly connectsMax: number | null
  readonly connectsHeldForMs: number
}

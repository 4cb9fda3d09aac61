import type { MemberFacts } from '../../src/cluster/member-store.ts'

/** What a member with nothing to tell says of itself, but for `said`. */
export function factsOf(said: Partial<MemberFacts> = {}): MemberFacts {
  return {
    ...{ version: '1', owns: new Set(), flows: new Set(), untold: new Set() },
    ...{ flowsSinceUs: null, lagMs: null, unheardMs: 0, missingMs: new Map() },
    ...said,
  }
}

/**
 * What the venue says a connection carries, against what the connection is meant to carry. Where not one name is the same
 * although both have some, the venue writes them in another way, and nothing follows from the difference. Pure.
 */
export function differenceOf<Carrier>(
  carriers: ReadonlyMap<string, Carrier>,
  listed: readonly string[],
): { readonly strangers: readonly string[]; readonly missing: readonly Carrier[] } {
  const names = new Set(listed)
  const strangers = [...names].filter((name) => !carriers.has(name))
  if (strangers.length === names.size && names.size > 0 && carriers.size > 0) return { strangers: [], missing: [] }
  const missing = [...carriers].filter(([name]) => !names.has(name)).map(([, carrier]) => carrier)
  return { strangers, missing }
}

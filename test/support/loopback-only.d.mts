/** Hosts that were asked for and refused since the list was last emptied. */
export const refused: string[]

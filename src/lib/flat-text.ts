/** Kept, so that the look at the text is not left out for being good for nothing. */
export let lastLetter = 0

/**
 * V8 keeps a text that was put together as a tree of its pieces, and pieces that were cut out keep all they were cut from,
 * until somebody looks at a letter; then it is written out, and stays so. A payload takes 32 bytes a piece until then, several
 * times its length. What is sent at once dies with its tree; what waits is to be laid out flat.
 */
export function flatten(text: string): void {
  lastLetter = text.charCodeAt(0)
}

/** Things that were opened, closed in the opposite order. */
export class Closings {
  readonly #all: (() => Promise<void> | void)[] = []

  add(close: () => Promise<void> | void): void {
    this.#all.push(close)
  }

  async run(): Promise<void> {
    for (const close of this.#all.splice(0).reverse()) await close()
  }
}

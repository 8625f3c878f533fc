// Runs pieces of work, at most so many at the same time, the others in the order of asking.

export class Turns {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(private readonly limit: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) {
      await new Promise<void>((start) => this.#waiting.push(start)); // the finisher's place passes on
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      const start = this.#waiting.shift();
      if (start) start();
      else this.#running--;
    }
  }
}

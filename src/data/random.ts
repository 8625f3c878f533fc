// Random numbers addressed by what they are for: `randomStream(seed, step, sample)` always gives the same
// stream, whichever process asks and whatever was drawn before. That is what makes a resumed run, and a
// run on any number of processes, see the same data. Not for secrets.

export interface RandomStream {
  /** Uniform in [0, 1), 53 bits. */
  next(): number;
  /** Uniform whole number in [0, n). */
  int(n: number): number;
  /** Uniform in [low, high). */
  between(low: number, high: number): number;
  /** Standard normal. */
  normal(): number;
}

/** A stream keyed by whole numbers (safe integers, any number of them, order matters). */
export function randomStream(...key: readonly number[]): RandomStream {
  const word = wordsFrom(key);
  const next = (): number => ((word() >>> 5) * 0x4000000 + (word() >>> 6)) / 2 ** 53;
  return {
    next,
    int: (n) => Math.floor(next() * n),
    between: (low, high) => low + (high - low) * next(),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()), // Box-Muller
  };
}

/** The whole numbers 0..length-1 in an order drawn from `random` (Fisher-Yates). */
export function shuffled(length: number, random: RandomStream): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last--) {
    const other = random.int(last + 1);
    const held = order[last]!;
    order[last] = order[other]!;
    order[other] = held;
  }
  return order;
}

/** Doty-Humphrey's sfc32 generator, 32 bits a call, its state hashed from the key. */
function wordsFrom(key: readonly number[]): () => number {
  let [a, b, c] = [hash(key, 1), hash(key, 2), hash(key, 3)];
  let counter = 1;
  const word = (): number => {
    const out = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return out;
  };
  for (let round = 0; round < 12; round++) word(); // near keys are near states until well mixed
  return word;
}

/** MurmurHash3 (32-bit) over the low and high words of each number. */
function hash(key: readonly number[], seed: number): number {
  let h = seed;
  for (const number of key) {
    if (!Number.isSafeInteger(number)) {
      throw new RangeError(`Expected whole numbers for a random stream's key, received ${number}.`);
    }
    h = mixIn(mixIn(h, number | 0), Math.floor(number / 2 ** 32) | 0);
  }
  h ^= key.length * 8;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function mixIn(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  h ^= k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

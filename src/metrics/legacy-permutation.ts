// numpy.random.RandomState(seed).permutation(n), number for number: other people's evaluators shuffle with it, and scores
// over splits depend on the order. A Mersenne Twister (Matsumoto 1998). Nothing else here draws from it.

/** The whole numbers below `length` in the order of numpy's legacy generator; `seed` below 2^32. */
export function legacyPermutation(length: number, seed: number): Uint32Array {
  const word = mersenneTwister(seed);
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let last = length - 1; last > 0; last--) {
    // The smallest mask of ones that holds `last`; draws above it are thrown away.
    const mask = 2 ** (32 - Math.clz32(last)) - 1;
    let other = (word() & mask) >>> 0;
    while (other > last) other = (word() & mask) >>> 0;
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

const size = 624;

/** 32 bits a call. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let next = size;
  return () => {
    if (next === size) {
      twist(state);
      next = 0;
    }
    let y = state[next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < size; i++) {
    const joined = (state[i]! & 0x80000000) | (state[(i + 1) % size]! & 0x7fffffff);
    state[i] = state[(i + 397) % size]! ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
  }
}

// Colours and textures for the drawn pictures. Arithmetic that every machine rounds alike: no sines, no
// powers; noise comes from an integer hash.
import { clamp } from "./drawn-shapes.js";
import type { RandomStream } from "./random.js";

/** Red, green, blue, 0..1. */
export type Colour = readonly [number, number, number];

/** A texture gives the share 0..1 of the second of two colours at (u, v); `pixel` is a pixel's side. */
export type Texture = (u: number, v: number, pixel: number) => number;

export interface Paint {
  from: Colour;
  to: Colour;
  texture: Texture;
}

/** Two or three hues that a picture's colours keep to. */
export function drawPalette(random: RandomStream): () => Colour {
  const base = random.next();
  const hues = [base, base + random.between(0.05, 0.14), base + random.between(0.4, 0.6)];
  const vividness = random.between(0.15, 0.9);
  return () => {
    const hue = hues[random.int(hues.length)]! + random.between(-0.03, 0.03);
    const light = random.between(0.1, 0.95);
    return colourOf(hue, vividness * random.between(0.4, 1), light);
  };
}

/** Hue in turns, saturation and lightness 0..1 (HSL). */
function colourOf(hue: number, saturation: number, light: number): Colour {
  const spread = saturation * Math.min(light, 1 - light);
  const channel = (shift: number): number => {
    const place = (hue + shift - Math.floor(hue + shift)) * 6; // 0 at full strength, 3 opposite
    return light + spread * Math.max(-1, Math.min(1, 2 * Math.abs(place - 3) - 3));
  };
  return [channel(0), channel(2 / 3), channel(1 / 3)];
}

const textures = {
  plain: (): Texture => () => 0,
  gradient: (): Texture => (_u, v) => clamp(0.5 + 0.5 * v),
  glow: (): Texture => (u, v) => clamp(Math.sqrt(u * u + v * v)),
  stripes(random: RandomStream): Texture {
    const frequency = random.between(1.5, 7);
    return (u, _v, pixel) => band(u * frequency, frequency * pixel);
  },
  checker(random: RandomStream): Texture {
    const frequency = random.between(1, 4);
    return (u, v, pixel) => {
      const across = 2 * band(u * frequency, frequency * pixel) - 1;
      const down = 2 * band(v * frequency, frequency * pixel) - 1;
      return 0.5 + 0.5 * across * down;
    };
  },
  dots(random: RandomStream): Texture {
    const frequency = random.between(2, 5);
    const radius = random.between(0.15, 0.4);
    return (u, v, pixel) => {
      const x = u * frequency - Math.floor(u * frequency) - 0.5;
      const y = v * frequency - Math.floor(v * frequency) - 0.5;
      return clamp(0.5 + (radius - Math.sqrt(x * x + y * y)) / (frequency * pixel));
    };
  },
  clouds(random: RandomStream): Texture {
    const noise = drawNoise(random);
    const frequency = random.between(1, 5);
    return (u, v) => clamp(2 * noise(u * frequency, v * frequency) - 0.5);
  },
  wood(random: RandomStream): Texture {
    const noise = drawNoise(random);
    const frequency = random.between(2, 5);
    return (u, v, pixel) => band(u * frequency + 2.5 * noise(u, v), 6 * frequency * pixel);
  },
};

export type TextureKind = keyof typeof textures;

export function drawTexture(random: RandomStream, kinds: readonly TextureKind[]): Texture {
  return textures[kinds[random.int(kinds.length)]!](random);
}

/** Alternates 0 and 1 every half unit of x, with edges `blur` units wide. */
function band(x: number, blur: number): number {
  const distance = Math.abs(x - Math.floor(x) - 0.5) - 0.25; // to the nearest edge
  return clamp(0.5 + distance / Math.max(blur, 1e-6));
}

/** Four octaves of value noise, 0..1, mean 1/2. */
function drawNoise(random: RandomStream): (u: number, v: number) => number {
  const seed = random.int(2 ** 31);
  return (u, v) => {
    let [sum, weight, scale] = [0, 0.5, 1];
    for (let octave = 0; octave < 4; octave++) {
      sum += weight * latticeNoise(u * scale, v * scale, seed + octave);
      weight /= 2;
      scale *= 2;
    }
    return sum / (15 / 16);
  };
}

function latticeNoise(u: number, v: number, seed: number): number {
  const [x, y] = [Math.floor(u), Math.floor(v)];
  const [across, down] = [smooth(u - x), smooth(v - y)];
  const top = mix(hash(x, y, seed), hash(x + 1, y, seed), across);
  const bottom = mix(hash(x, y + 1, seed), hash(x + 1, y + 1, seed), across);
  return mix(top, bottom, down);
}

/** A number in [0, 1) for each lattice point (a 32-bit finaliser over its coordinates). */
function hash(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}

export function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

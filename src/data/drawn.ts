// Drawn pictures: an endless supply of small scenes (shapes, textures, gradients, letters) made from a
// seed, so that a demo and a test need no download. Same bytes on every machine; no photographs.
import { type Clip, createClip } from "../media/clip.js";
import { drawPalette, drawTexture, mix, type Paint } from "./drawn-paints.js";
import { clamp, drawShape, type Shape, type ShapeKind, shapeKinds } from "./drawn-shapes.js";
import { type RandomStream, randomStream } from "./random.js";

/** One drawn picture of `size` x `size`; `key` is any list of whole numbers, such as seed and index. */
export function drawPicture(key: readonly number[], size: number): Clip {
  const random = randomStream(...key);
  const subject = shapeKinds[random.int(shapeKinds.length)]!;
  const canvas = new Canvas(size);
  const palette = drawPalette(random);
  const paint = (texture: Paint["texture"]): Paint => ({ from: palette(), to: palette(), texture });

  canvas.fill(paint(drawTexture(random, backgrounds)), random);
  const others = random.int(5);
  for (let layer = 0; layer <= others; layer++) {
    const isSubject = layer === others; // in front of the rest, and larger
    const kind = isSubject ? subject : shapeKinds[random.int(shapeKinds.length)]!;
    canvas.draw(drawShape(kind, random), {
      kind,
      paint: paint(drawTexture(random, kind === "word" ? wordTextures : shapeTextures)),
      place: drawPlace(random, isSubject ? [0.22, 0.4] : [0.06, 0.28]),
      shadow: random.between(0, 0.6),
    });
  }
  return canvas.toClip();
}

/** The kind of the shape in front, as an index into `shapeKinds`: the picture's class. */
export function drawnLabel(key: readonly number[]): number {
  return randomStream(...key).int(shapeKinds.length);
}

const backgrounds = [
  "gradient",
  "gradient",
  "gradient",
  "glow",
  "clouds",
  "clouds",
  "wood",
] as const;
const wordTextures = ["plain", "gradient"] as const;
const shapeTextures = [
  ...([
    "plain",
    "gradient",
    "gradient",
    "glow",
    "stripes",
    "checker",
    "dots",
    "clouds",
    "wood",
  ] as const),
];

/** Where a shape lies, in shares of the picture's side, and how it is turned. */
interface Place {
  x: number;
  y: number;
  radius: number;
  cos: number;
  sin: number;
}

interface Layer {
  kind: ShapeKind;
  paint: Paint;
  place: Place;
  /** Darkness of the shadow, 0..1. */
  shadow: number;
}

function drawPlace(random: RandomStream, [smallest, largest]: readonly [number, number]): Place {
  const radius = random.between(smallest, largest);
  const margin = radius * 0.6;
  const [cos, sin] = drawDirection(random);
  const x = random.between(margin, 1 - margin);
  return { x, y: random.between(margin, 1 - margin), radius, cos, sin };
}

/** A unit vector, by rejection rather than by cosines, which differ between machines. */
function drawDirection(random: RandomStream): [number, number] {
  for (;;) {
    const [x, y] = [random.between(-1, 1), random.between(-1, 1)];
    const squared = x * x + y * y;
    if (squared > 1 || squared < 0.01) continue;
    const norm = Math.sqrt(squared);
    return [x / norm, y / norm];
  }
}

class Canvas {
  readonly #size: number;
  readonly #colours: Float32Array; // [size, size, 3], 0..1

  constructor(size: number) {
    this.#size = size;
    this.#colours = new Float32Array(size * size * 3);
  }

  fill(paint: Paint, random: RandomStream): void {
    const [cos, sin] = drawDirection(random);
    const place = { x: 0.5, y: 0.5, radius: 0.7, cos, sin };
    this.#cover(place, 1, (u, v, _dx, _dy, pixel, at) => {
      this.#blend(at, paint, { share: paint.texture(u, v, pixel), light: 1, opacity: 1 });
    });
  }

  /** Its shadow first, a little lower and to the right, then the shape, lit from the upper left. */
  draw(shape: Shape, { kind, paint, place, shadow }: Layer): void {
    const fallen = { ...place, x: place.x + 0.15 * place.radius, y: place.y + 0.15 * place.radius };
    this.#cover(fallen, shape.reach + 0.2, (u, v, _dx, _dy, pixel, at) => {
      const cover = clamp(0.5 - shape.distance(u, v) / (0.25 + pixel));
      this.#darken(at, 1 - cover * shadow);
    });
    const shade = kind === "ball" ? roundShade : flatShade;
    this.#cover(place, shape.reach, (u, v, dx, dy, pixel, at) => {
      const opacity = clamp(0.5 - shape.distance(u, v) / pixel);
      if (opacity === 0) return;
      this.#blend(at, paint, { share: paint.texture(u, v, pixel), light: shade(dx, dy), opacity });
    });
  }

  /** Visits the pixels within `reach` of a place, with their coordinates in units of its radius. */
  #cover(
    { x, y, radius, cos, sin }: Place,
    reach: number,
    visit: (u: number, v: number, dx: number, dy: number, pixel: number, at: number) => void,
  ): void {
    const size = this.#size;
    const pixel = 1 / (radius * size);
    const first = (centre: number) => Math.max(0, Math.floor((centre - reach * radius) * size) - 1);
    const last = (centre: number) =>
      Math.min(size, Math.ceil((centre + reach * radius) * size) + 1);
    for (let row = first(y); row < last(y); row++) {
      const dy = (row + 0.5 - y * size) * pixel;
      for (let column = first(x); column < last(x); column++) {
        const dx = (column + 0.5 - x * size) * pixel;
        const [u, v] = [dx * cos + dy * sin, dy * cos - dx * sin];
        visit(u, v, dx, dy, pixel, (row * size + column) * 3);
      }
    }
  }

  #blend(at: number, { from, to }: Paint, { share, light, opacity }: Brush): void {
    for (let channel = 0; channel < 3; channel++) {
      const colour = clamp(mix(from[channel]!, to[channel]!, share) * light);
      const under = this.#colours[at + channel]!;
      this.#colours[at + channel] = mix(under, colour, opacity);
    }
  }

  #darken(at: number, factor: number): void {
    for (let channel = 0; channel < 3; channel++) {
      this.#colours[at + channel] = this.#colours[at + channel]! * factor;
    }
  }

  toClip(): Clip {
    const bytes = new Uint8Array(this.#colours.length);
    this.#colours.forEach((value, at) => {
      bytes[at] = Math.round(255 * value);
    });
    return createClip(bytes, { height: this.#size, width: this.#size });
  }
}

interface Brush {
  /** Share of the paint's second colour. */
  share: number;
  light: number;
  opacity: number;
}

function flatShade(dx: number, dy: number): number {
  return 1 - 0.12 * (dx + dy);
}

/** A sphere under a light from the upper left, with a highlight. */
function roundShade(dx: number, dy: number): number {
  const height = Math.sqrt(Math.max(0, 1 - dx * dx - dy * dy));
  const facing = Math.max(0, (-dx - dy + 1.4 * height) / 2);
  const squared = facing * facing;
  return 0.3 + 0.8 * facing + 0.5 * squared * squared * squared * squared;
}

// Outlines for the drawn pictures, as signed distances: negative inside, in units of the shape's radius.
// Only + - * / and square roots, which every machine rounds alike; no colour and no place (drawn.ts).
import type { RandomStream } from "./random.js";

/** Signed distance from (u, v) to the outline, which lies within radius `reach` of the origin. */
export interface Shape {
  distance(u: number, v: number): number;
  reach: number;
}

/** The kinds of shape: the classes of the drawn set. */
export const shapeKinds = [
  ...(["ball", "box", "cross", "moon", "polygon", "ring", "star", "word"] as const),
];
export type ShapeKind = (typeof shapeKinds)[number];

export function drawShape(kind: ShapeKind, random: RandomStream): Shape {
  switch (kind) {
    case "ball":
      return { distance: ellipse(random.between(0.6, 1)), reach: 1 };
    case "box":
      return { distance: box(1, random.between(0.45, 1), random.between(0, 0.4)), reach: 1.5 };
    case "cross":
      return { distance: cross(random.between(0.2, 0.4)), reach: 1.1 };
    case "moon":
      return { distance: moon(random.between(0.25, 0.6)), reach: 1 };
    case "polygon":
      return { distance: polygon(regular(3 + random.int(4), [1])), reach: 1 };
    case "ring":
      return { distance: ring(random.between(0.12, 0.3)), reach: 1 };
    case "star": {
      const points = 4 + random.int(3);
      return { distance: polygon(regular(2 * points, [1, random.between(0.35, 0.65)])), reach: 1 };
    }
    case "word":
      return word(random);
  }
}

type Distance = Shape["distance"];

/** Axes 1 and `b`; exact on the outline, first order near it. */
function ellipse(b: number): Distance {
  return (u, v) => {
    const k = length(u, v / b);
    return k === 0 ? -b : (k * (k - 1)) / length(u, v / (b * b));
  };
}

/** A box of half sides `a` and `b` with its corners rounded by `round` times the shorter one. */
function box(a: number, b: number, round: number): Distance {
  const radius = round * Math.min(a, b);
  return (u, v) => {
    const x = Math.abs(u) - a + radius;
    const y = Math.abs(v) - b + radius;
    return length(Math.max(x, 0), Math.max(y, 0)) + Math.min(Math.max(x, y), 0) - radius;
  };
}

function cross(thickness: number): Distance {
  const across = box(1, thickness, 0);
  return (u, v) => Math.min(across(u, v), across(v, u));
}

/** A disc without the disc shifted by `shift`. */
function moon(shift: number): Distance {
  return (u, v) => Math.max(length(u, v) - 1, 0.95 - length(u - shift, v));
}

function ring(halfWidth: number): Distance {
  return (u, v) => Math.abs(length(u, v) - 1 + halfWidth) - halfWidth;
}

type Point = readonly [number, number];

/** Distance to a closed polygon; the sign flips with each edge that a ray from the point crosses. */
function polygon(corners: readonly Point[]): Distance {
  const edges = corners.map((from, i) => ({ from, to: corners[(i + 1) % corners.length]! }));
  return (u, v) => {
    let nearest = Number.POSITIVE_INFINITY;
    let isInside = false;
    for (const { from, to } of edges) {
      const [ex, ey] = [to[0] - from[0], to[1] - from[1]];
      const [px, py] = [u - from[0], v - from[1]];
      const along = clamp((px * ex + py * ey) / (ex * ex + ey * ey));
      nearest = Math.min(nearest, length(px - ex * along, py - ey * along));
      const crosses = from[1] > v !== to[1] > v && u < from[0] + (ex * py) / ey;
      isInside = isInside !== crosses;
    }
    return isInside ? -nearest : nearest;
  };
}

/** Cosine and sine of one n-th of a turn, written out: library cosines differ between machines. */
const turns: Record<number, Point> = {
  3: [-0.5, 0.8660254037844386],
  4: [0, 1],
  5: [0.30901699437494745, 0.9510565162951535],
  6: [0.5, 0.8660254037844386],
  8: [Math.SQRT1_2, Math.SQRT1_2],
  10: [0.8090169943749475, 0.5877852522924731],
  12: [0.8660254037844386, 0.5],
};

/** `count` corners at equal angles whose radii repeat `radii`. */
function regular(count: number, radii: readonly number[]): Point[] {
  const [cos, sin] = turns[count]!;
  const corners: Point[] = [];
  let [x, y] = [0, -1];
  for (let i = 0; i < count; i++) {
    const radius = radii[i % radii.length]!;
    corners.push([x * radius, y * radius]);
    [x, y] = [x * cos - y * sin, x * sin + y * cos];
  }
  return corners;
}

/** Seven rows of five dots a letter; a row is one base-32 digit, its highest bit on the left. */
const glyphs = [
  ..."ehhvhhh uhhuhhu ehggghe uhhhhhu vgguggv vgguggg ehgnhhf hhhvhhh e44444e 72222ic".split(" "),
  ..."hikokih ggggggv hrllhhh hhpljhh ehhhhhe uhhuggg ehhhlid uhhukih fgge11u v444444".split(" "),
  ..."hhhhhhe hhhhha4 hhhllla hha4ahh hha4444 v1248gv ehjlphe 4c4444e eh1248v v2421he".split(" "),
  ..."26aiv22 vgu11he 68guhhe v124888 ehhehhe ehhf12c".split(" "),
];

/** One to four random letters and digits. */
function word(random: RandomStream): Shape {
  const letters = Array.from(
    { length: 1 + random.int(4) },
    () => glyphs[random.int(glyphs.length)]!,
  );
  const width = letters.length * 6 - 1;
  const ink = new Uint8Array((width + 2) * 9); // 7 rows of dots with a margin of one all round
  letters.forEach((letter, place) => {
    [...letter].forEach((digit, row) => {
      for (let dot = 0; dot < 5; dot++) {
        const isInk = (Number.parseInt(digit, 32) >> (4 - dot)) & 1;
        ink[(row + 1) * (width + 2) + place * 6 + dot + 1] = isInk;
      }
    });
  });
  const cell = 2 / Math.max(width, 9);
  const inked = dots(ink, width + 2);
  return {
    distance: (u, v) => cell * inked(u / cell + width / 2 + 1, v / cell + 4.5),
    reach: (cell * length(width, 7)) / 2,
  };
}

/** Distance to the nearest dot of the other kind, looking one dot far; far outside, infinity. */
function dots(ink: Uint8Array, width: number): Distance {
  const height = ink.length / width;
  return (u, v) => {
    const column = Math.floor(u);
    const row = Math.floor(v);
    if (column < 0 || row < 0 || column >= width || row >= height) return Number.POSITIVE_INFINITY;
    const isInk = ink[row * width + column];
    let nearest = Number.POSITIVE_INFINITY;
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
        if (ink[y * width + x] === isInk) continue;
        nearest = Math.min(nearest, length(outside(u, x), outside(v, y)));
      }
    }
    return isInk ? -nearest : nearest;
  };
}

/** How far `x` lies from the unit interval that starts at `cell`. */
function outside(x: number, cell: number): number {
  return Math.max(cell - x, x - cell - 1, 0);
}

function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

export function clamp(x: number): number {
  return Math.max(0, Math.min(1, x));
}

// One transformer's sizes, the names they are written by ("Bw512d8h8"), and the limits of any model made of them.
// Pure TypeScript: `vitok info` reads it without the engine.
import { ConfigError } from "./config-error.js";

/** One transformer: the residual width, the number of blocks, and the attention heads in each. */
export interface Tower {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
}

const pattern =
  /^(?<size>[A-Za-z]+?)(?:w(?<width>[1-9]\d*))?(?:d(?<depth>[1-9]\d*))?(?:h(?<heads>[1-9]\d*))?$/;

/** A size of the table, perhaps with its width, depth or heads replaced: `Bw512d8h8`; undefined where it is none. */
export function parseTower(
  text: string,
  sizes: Readonly<Record<string, Tower>>,
): Tower | undefined {
  const { size = "", width, depth, heads } = pattern.exec(text)?.groups ?? {};
  const base = Object.hasOwn(sizes, size) ? sizes[size] : undefined;
  return (
    base && {
      width: Number(width ?? base.width),
      depth: Number(depth ?? base.depth),
      heads: Number(heads ?? base.heads),
    }
  );
}

/** The shortest name of a tower; of equally short ones the first in the table. */
export function towerName(tower: Tower, sizes: Readonly<Record<string, Tower>>): string {
  const names = Object.entries(sizes).map(([size, base]) => {
    const width = tower.width === base.width ? "" : `w${tower.width}`;
    const depth = tower.depth === base.depth ? "" : `d${tower.depth}`;
    const heads = tower.heads === base.heads ? "" : `h${tower.heads}`;
    return size + width + depth + heads;
  });
  return names.reduce((best, name) => (name.length < best.length ? name : best));
}

/** Width of the SwiGLU: 8/3 of the tower's width, to the nearest multiple of 16. */
export function mlpHidden(width: number): number {
  return Math.round((width * 8) / 3 / 16) * 16;
}

/** How the rotary pairs of one head are shared out over the axes of the grid; row and column get the same. */
export function ropePairs(headDim: number): { time: number; row: number; column: number } {
  const pairs = headDim / 2;
  const space = Math.ceil(pairs / 3);
  return { time: pairs - 2 * space, row: space, column: space };
}

/** A checked, frozen copy. @throws ConfigError naming the first property that no transformer can have */
export function defineTower(name: string, tower: Tower): Tower {
  const { width, depth, heads } = tower ?? {};
  whole(`${name}.width`, width);
  whole(`${name}.depth`, depth);
  whole(`${name}.heads`, heads);
  const headDim = width / heads;
  // Rotary pairs need an even head, and one pair for the row and one for the column.
  if (headDim % 2 !== 0 || headDim < 4) {
    throw new ConfigError(
      `Expected an even width of at least 4 per head for ${name}, received ${width} / ${heads} = ` +
        `${Number(headDim.toFixed(3))}. Choose a width that is a multiple of ${2 * heads}.`,
    );
  }
  return Object.freeze({ width, depth, heads });
}

/** @throws ConfigError unless `value` is a whole number of at least `least` */
export function whole(name: string, value: unknown, least = 1): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  throw expected(`a whole number of at least ${least}`, name, value);
}

export function expected(what: string, name: string, value: unknown): ConfigError {
  return new ConfigError(`Expected ${what} for ${name}, received ${JSON.stringify(value)}.`);
}

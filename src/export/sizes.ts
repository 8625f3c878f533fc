// Sizes as symbols. JavaScript's numbers cannot carry a name, so a model is traced several times at sizes that are told
// apart, and each number that moved is written as what made it move: offset + factor x a product of the input's sizes.

/** offset + factor x the product of the symbols; no symbols: the number `offset`. */
export interface Size {
  readonly offset: number;
  readonly factor: number;
  readonly symbols: readonly string[];
}

/** What each symbol is in one run. */
export type Assignment = Readonly<Record<string, number>>;

export const fixed = (offset: number): Size => ({ offset, factor: 0, symbols: [] });
export const symbol = (name: string, factor = 1): Size => ({ offset: 0, factor, symbols: [name] });
export const isFixed = (size: Size): boolean => size.symbols.length === 0;
export const sameSize = (a: Size, b: Size): boolean => sizeKey(a) === sizeKey(b);
export const sizeKey = ({ offset, factor, symbols }: Size): string =>
  symbols.length ? `${offset}+${factor}*${symbols.join("*")}` : String(offset);

/**
 * The runs that tell sizes apart: a first one, one with each symbol changed alone, and one with all of them at a third value,
 * which no fit has seen and every fit must foretell.
 */
export function assignmentsOf(first: Assignment, second: Assignment, third: Assignment) {
  return [first, ...Object.keys(first).map((name) => ({ ...first, [name]: second[name]! })), third];
}

/**
 * The size behind one number's values over the runs of `assignmentsOf`.
 * @throws an Error where it is no such product: what depends on the input in another way cannot be exported
 */
export function fitSize(values: readonly number[], assignments: readonly Assignment[]): Size {
  const [base, ...changed] = values as [number, ...number[]];
  if (changed.every((value) => value === base)) return fixed(base); // an epsilon is no size, but never moves
  const from = assignments[0]!;
  const names = Object.keys(from);
  const symbols = names.filter((_, i) => changed[i] !== base);
  const name = symbols[0] ?? names[0]!;
  const at = names.indexOf(name);
  const slope = (changed[at]! - base) / (assignments[at + 1]![name]! - from[name]!);
  const others = symbols.slice(1).reduce((product, other) => product * from[other]!, 1);
  const factor = slope / others;
  return checked({ offset: base - slope * from[name]!, factor, symbols }, values, assignments);
}

function checked(size: Size, values: readonly number[], assignments: readonly Assignment[]): Size {
  const isRight = assignments.every((sizes, run) => sizeAt(size, sizes) === values[run]);
  if (isRight && Number.isInteger(size.factor) && Number.isInteger(size.offset)) return size;
  throw new Error(
    `Expected a number that is a product of the input's sizes, received ${values.join(", ")} for ` +
      `${assignments.map((sizes) => Object.values(sizes).join(" x ")).join(", ")}.`,
  );
}

/** The number a size is for given symbols. */
export function sizeAt({ offset, factor, symbols }: Size, sizes: Assignment): number {
  return offset + symbols.reduce((product, name) => product * sizes[name]!, factor);
}

// The few statistics that the paper's figures rest on: straight lines and parabolas with their R^2, correlation, the frontier of a
// trade-off, and confidence intervals over repeated seeds. Plain numbers, no engine.

/** `y = offset + slope x`, with the share of the variance that it explains. */
export interface Line {
  readonly slope: number;
  readonly offset: number;
  readonly r2: number;
  readonly count: number;
}

/** `y = a x^2 + b x + c`. */
export interface Parabola {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly r2: number;
  readonly count: number;
  /** Where it is flat. */
  readonly vertex: number;
}

const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
const mean = (list: readonly number[]) => sum(list) / list.length;

/** Least squares; undefined for fewer than two different x. */
export function fitLine(x: readonly number[], y: readonly number[]): Line | undefined {
  const [mx, my] = [mean(x), mean(y)];
  const spread = sum(x.map((value) => (value - mx) ** 2));
  if (x.length < 2 || spread === 0) return undefined;
  const slope = sum(x.map((value, i) => (value - mx) * (y[i]! - my))) / spread;
  const offset = my - slope * mx;
  const r2 = explained(
    y,
    x.map((value) => offset + slope * value),
  );
  return { slope, offset, r2, count: x.length };
}

/** Least squares; undefined for fewer than three different x. */
export function fitParabola(x: readonly number[], y: readonly number[]): Parabola | undefined {
  if (new Set(x).size < 3) return undefined;
  // About the mean the normal equations are well conditioned.
  const middle = mean(x);
  const u = x.map((value) => value - middle);
  const power = (n: number) => sum(u.map((value) => value ** n));
  const moment = (n: number) => sum(u.map((value, i) => value ** n * y[i]!));
  const solved = solve3(
    [
      [power(4), power(3), power(2)],
      [power(3), power(2), power(1)],
      [power(2), power(1), x.length],
    ],
    [moment(2), moment(1), moment(0)],
  );
  const [a, slope, level] = solved;
  const r2 = explained(
    y,
    u.map((value) => a * value ** 2 + slope * value + level),
  );
  return {
    ...{ a, b: slope - 2 * a * middle, c: level - slope * middle + a * middle ** 2 },
    ...{ r2, count: x.length, vertex: middle - slope / (2 * a) },
  };
}

/** Gauss with pivots. */
function solve3(matrix: number[][], right: number[]): [number, number, number] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let column = 0; column < 3; column++) {
    const rest = rows.slice(column);
    const pivot = rest.reduce((best, row) =>
      Math.abs(row[column]!) > Math.abs(best[column]!) ? row : best,
    );
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(column, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[column]! / pivot[column]!;
      for (let k = column; k < 4; k++) row[k]! -= factor * pivot[k]!;
    }
  }
  return rows.map((row, i) => row[3]! / row[i]!) as [number, number, number];
}

/** 1 - residual / total; 1 where all y are alike and hit. */
function explained(y: readonly number[], fitted: readonly number[]): number {
  const middle = mean(y);
  const total = sum(y.map((value) => (value - middle) ** 2));
  const residual = sum(y.map((value, i) => (value - fitted[i]!) ** 2));
  return total === 0 ? 1 : 1 - residual / total;
}

/** Pearson's; undefined where one of the two does not vary. */
export function correlation(x: readonly number[], y: readonly number[]): number | undefined {
  const [mx, my] = [mean(x), mean(y)];
  const [sx, sy] = [
    sum(x.map((value) => (value - mx) ** 2)),
    sum(y.map((value) => (value - my) ** 2)),
  ];
  if (x.length < 2 || sx === 0 || sy === 0) return undefined;
  return sum(x.map((value, i) => (value - mx) * (y[i]! - my))) / Math.sqrt(sx * sy);
}

/** A mean with the half-width of its 95 % confidence interval, by Student's t; NaN for one value. */
export function meanWithInterval(list: readonly number[]): { mean: number; interval: number } {
  const middle = mean(list);
  const n = list.length;
  const deviation = Math.sqrt(sum(list.map((value) => (value - middle) ** 2)) / (n - 1));
  return {
    mean: middle,
    interval: n > 1 ? (student95(n - 1) * deviation) / Math.sqrt(n) : Number.NaN,
  };
}

/** The 97.5 % quantile of Student's distribution: a table, then its expansion about the normal one (error below 1e-3). */
export function student95(freedom: number): number {
  const table = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281];
  const known = table[freedom - 1];
  if (known !== undefined) return known;
  const z = 1.959964;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
  ];
  return z + sum(terms.map((term, i) => term / freedom ** (i + 1)));
}

/** Indices of the points that no other is better than in both; `x` and `y` as larger is better. By x, falling. */
export function frontier(x: readonly number[], y: readonly number[]): number[] {
  const order = x.map((_, i) => i).sort((i, j) => x[j]! - x[i]! || y[j]! - y[i]!);
  let best = Number.NEGATIVE_INFINITY;
  return order.filter((i) => {
    if (y[i]! <= best) return false;
    best = y[i]!;
    return true;
  });
}

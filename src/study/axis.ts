// The axes of a panel: where values stand, which round values are marked and how they are written, and how an axis of the paper's
// own is laid over ours. Drawing is panel.ts.

export interface Axis {
  readonly label: string;
  /** Base of a logarithmic axis; absent for a linear one. */
  readonly base?: 2 | 10;
}

/** Where a value stands: logarithmic axes are drawn as straight ones of the logarithm, for their ticks are our own. */
export const placeOn = (axis: Axis, value: number): number =>
  axis.base ? Math.log2(value) : value;
export const valueAt = (axis: Axis, place: number): number => (axis.base ? 2 ** place : place);

/** From the paper's places to ours, so that both fill the panel. */
export interface Mapping {
  to(place: number): number;
  from(place: number): number;
}
export const same: Mapping = { to: (place) => place, from: (place) => place };

export function mappingOf(own: readonly number[], other: readonly number[]): Mapping {
  if (!own.length || !other.length) return same;
  const [low, high] = range(own);
  const [from, until] = range(other);
  const scale = (high - low) / (until - from);
  return {
    to: (place) => low + (place - from) * scale,
    from: (place) => from + (place - low) / scale,
  };
}

function range(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

export interface Ticks {
  readonly places: readonly number[];
  readonly texts: readonly string[];
}

/** Round values of an axis that the panel shows, and where they stand there. */
export function axisTicks(
  axis: Axis,
  [low, high]: readonly [number, number],
  mapping = same,
): Ticks {
  const values = ticksOf(axis, [
    valueAt(axis, mapping.from(low)),
    valueAt(axis, mapping.from(high)),
  ]);
  return {
    places: values.map((value) => mapping.to(placeOn(axis, value))),
    texts: axis.base === 2 ? values.map(powerOfTwo) : shortNumbers(values),
  };
}

/** A little more than the places. */
export function padded(places: readonly number[]): [number, number] {
  const [low, high] = range(places);
  const margin = 0.07 * (high - low);
  return [low - margin, high + margin];
}

/** At most about six round values inside a range: powers of two, or of ten with 2 and 5 where those are few, or even steps. */
export function ticksOf(
  { base }: Omit<Axis, "label">,
  [low, high]: readonly [number, number],
): number[] {
  if (base === 2) {
    const first = Math.ceil(Math.log2(low) - 1e-9);
    const last = Math.floor(Math.log2(high) + 1e-9);
    const step = Math.max(1, Math.ceil((last - first) / 5));
    return Array.from(
      { length: Math.floor((last - first) / step) + 1 },
      (_, i) => 2 ** (first + i * step),
    );
  }
  if (base === 10) {
    const powers = Array.from({ length: 24 }, (_, i) => i - 12);
    const within = (steps: readonly number[]) =>
      powers
        .flatMap((power) => steps.map((step) => step * 10 ** power))
        .filter((tick) => tick >= low && tick <= high);
    const choices = [[1], [1, 3], [1, 2, 5]].map(within);
    const ticks = choices.find(({ length }) => length >= 3) ?? choices[2]!;
    return ticks.length > 1 ? ticks : ticksOf({}, [low, high]);
  }
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.8) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const raisedDigits = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function powerOfTwo(value: number): string {
  const power = Math.round(Math.log2(value));
  const digits = [...String(Math.abs(power))].map((digit) => raisedDigits[Number(digit)]).join("");
  return `2${power < 0 ? "⁻" : ""}${digits}`;
}

/** 0.3, 12, 25k, 85M: as few digits as tell them apart. */
function shortNumbers(values: readonly number[]): string[] {
  const digits = [2, 3, 4, 5].find(
    (count) => new Set(values.map((value) => value.toPrecision(count))).size === values.length,
  );
  const trim = (value: number) => String(Number(value.toPrecision(Math.max(3, digits ?? 6))));
  return values.map((value) => {
    if (Math.abs(value) >= 1e6) return `${trim(value / 1e6)}M`;
    return Math.abs(value) >= 1e4 ? `${trim(value / 1e3)}k` : trim(value);
  });
}

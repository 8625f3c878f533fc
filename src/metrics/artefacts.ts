// What a mean score hides: a grid at the patch period, a drift of colour, values that are no numbers, pixels at the
// ends of the range. Reconstructions against originals; the grid on pictures of one colour, where nothing else is.
import { call, cat, noGrad, scope, stack, type Tensor } from "../torch/index.js";

export interface Artefacts {
  /** Mean of reconstruction minus original, in 1/255, of red, green and blue. */
  readonly drift: readonly [number, number, number];
  /** Shares 0..1 of values at 0 or 255. */
  readonly saturated: { readonly original: number; readonly recon: number };
  /** Share 0..1 of values that the decoder made infinite or NaN. */
  readonly nonFinite: number;
}

/** Sums over everything seen; all there is to save. */
export interface ArtefactSums {
  values: number;
  drift: [number, number, number];
  saturatedOriginal: number;
  saturatedRecon: number;
  nonFinite: number;
}

export class ArtefactCounter {
  readonly sums: ArtefactSums;

  /** Goes on from `sums`, where there are some. */
  constructor(sums?: ArtefactSums) {
    const none = { saturatedOriginal: 0, saturatedRecon: 0, nonFinite: 0 };
    this.sums = sums ?? { values: 0, drift: [0, 0, 0], ...none };
  }

  /** Bytes 0..255 as uint8 [B, 3, T, H, W], and what the decoder gave before rounding, of the same shape. */
  update(original: Tensor, recon: Tensor, pixels: Tensor): void {
    const { sums } = this;
    const [red, green, blue, saturatedOriginal, saturatedRecon, finite] = noGrad(() =>
      scope(() => [...countsOf(original, recon, pixels).toArray()].map(Number)),
    ) as Six;
    [red, green, blue].forEach((sum, colour) => {
      sums.drift[colour]! += sum;
    });
    sums.saturatedOriginal += saturatedOriginal;
    sums.saturatedRecon += saturatedRecon;
    sums.nonFinite += pixels.numel - finite;
    sums.values += original.numel;
  }

  /** Adds what a counter of another part of the set has seen. */
  merge({ sums: other }: ArtefactCounter): void {
    const { sums } = this;
    other.drift.forEach((sum, colour) => {
      sums.drift[colour]! += sum;
    });
    for (const name of ["values", "saturatedOriginal", "saturatedRecon", "nonFinite"] as const)
      sums[name] += other[name];
  }

  compute(): Artefacts {
    const { values, drift, saturatedOriginal, saturatedRecon, nonFinite } = this.sums;
    const [red, green, blue] = drift.map((sum) => sum / (values / 3)) as [number, number, number];
    return {
      drift: [red, green, blue],
      saturated: { original: saturatedOriginal / values, recon: saturatedRecon / values },
      nonFinite: nonFinite / values,
    };
  }
}

type Six = [number, number, number, number, number, number];

/** Six sums in one float64 tensor, so that a GPU is waited for once: differences by colour, saturated, saturated, finite. */
function countsOf(original: Tensor, recon: Tensor, pixels: Tensor): Tensor {
  const [before, after] = [original, recon].map((bytes) => bytes.to({ dtype: "float32" }));
  const drift = after!.sub(before!).to({ dtype: "float64" }).sum([0, 2, 3, 4]);
  const counts = [saturated(original), saturated(recon), pixels.isFinite()].map((mask) =>
    mask.sum().to({ dtype: "float64" }),
  );
  return cat([drift, stack(counts)]);
}

const saturated = (bytes: Tensor): Tensor => call("logical_or", bytes.eq(0), bytes.eq(255));

export interface GridScore {
  /** Pixels. */
  readonly period: number;
  /** Root mean square of the pattern that repeats every `period` pixels, in 1/255. */
  readonly amplitude: number;
  /**
   * Its share 0..1 of the energy of everything that is not one flat colour: that of the spectrum's lines at multiples of
   * the patch frequency. NaN for pictures that are perfectly flat.
   */
  readonly share: number;
}

/**
 * The grid in reconstructions of pictures of one colour: [N, 3, H, W] in 0..255, H and W multiples of `period`.
 * A Fourier transform's lines at multiples of the patch frequency hold, by Parseval, exactly the energy of the mean
 * patch around its mean: so the patches are averaged, and nothing is transformed.
 * @throws an Error where the sizes are no multiples of the period.
 */
export function gridScore(flats: Tensor, period: number): GridScore {
  const [count = 0, colours = 0, height = 0, width = 0] = flats.shape;
  if (flats.ndim !== 4 || height % period || width % period)
    throw new Error(
      `Expected pictures [N, 3, H, W] in multiples of ${period} pixels for the grid score, received [${flats.shape}]. Crop them.`,
    );
  return noGrad(() =>
    scope(() => {
      const exact = flats.to({ dtype: "float64" });
      const around = exact.sub(exact.mean([2, 3], true));
      const rows = height / period;
      const columns = width / period;
      const patches = around.reshape([count, colours, rows, period, columns, period]);
      const energy = patches.mean([2, 4]).square().mean().item();
      return {
        period,
        amplitude: Math.sqrt(energy),
        share: energy / around.square().mean().item(),
      };
    }),
  );
}

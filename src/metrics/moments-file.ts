// A set's statistics as a file: .npz with mu and sigma, as pytorch-fid and clean-fid write and read them. Ours also say
// how many samples they are of and how they were made; theirs do not.
import { npzNames, readNpz, writeNpz } from "../formats/npz.js";
import { noGrad, scope, Tensor } from "../torch/index.js";
import { Moments } from "./moments.js";

/** What was measured, in words, for the caller to compare: network, tap, input, weights, set. */
export type MomentsMetadata = Readonly<Record<string, string>>;

const ours = "vitok_"; // before the names of our text entries

/** Writes mu [C] and sigma [C, C] in float64, n, and `metadata` as text. Atomic. */
export function saveMoments(path: string, moments: Moments, metadata: MomentsMetadata = {}): void {
  noGrad(() =>
    scope(() => {
      const texts = Object.entries(metadata).map(([key, text]) => [ours + key, text] as const);
      const count = Number.isNaN(moments.count)
        ? {}
        : { n: Tensor.from(BigInt64Array.of(BigInt(moments.count)), []) };
      const [mu, sigma] = [moments.mean(), moments.covariance()];
      writeNpz(path, { mu, sigma, ...count, ...Object.fromEntries(texts) });
    }),
  );
}

/**
 * Reads statistics of this or another tool. Without n in the file their `count` is NaN: they can be compared with, not
 * added to. @throws an Error where mu or sigma are missing, not finite, of other shapes, or sigma is not symmetric.
 */
export function loadMoments(path: string): Moments {
  return noGrad(() =>
    scope(() => {
      const { mu, sigma, n } = readNpz(path, ["mu", "sigma", "n"]);
      if (!(mu instanceof Tensor && sigma instanceof Tensor))
        throw unfit(path, "arrays mu and sigma", "a file without");
      const channels = mu.shape[0] ?? 0;
      if (mu.ndim !== 1 || channels < 1 || String(sigma.shape) !== `${channels},${channels}`)
        throw unfit(path, "mu [C] and sigma [C, C]", `[${mu.shape}] and [${sigma.shape}]`);
      const asymmetry = sigma.sub(sigma.transpose(0, 1)).abs().amax().item();
      const scale = sigma.abs().amax().item() + mu.abs().amax().item();
      if (!Number.isFinite(scale)) throw unfit(path, "finite statistics", "NaN or infinity");
      if (asymmetry > 1e-3 * scale) throw unfit(path, "a symmetric sigma", "another matrix");
      const count = n instanceof Tensor && n.numel === 1 ? n.item() : Number.NaN;
      if (count < 2) throw unfit(path, "n of at least 2", `${count}`);
      return Moments.from({ mean: mu, covariance: sigma, count });
    }),
  );
}

/** What saveMoments() was given; empty for another tool's file. */
export function readMomentsMetadata(path: string): MomentsMetadata {
  const names = npzNames(path).filter((name) => name.startsWith(ours));
  return scope(() => {
    const texts = Object.entries(readNpz(path, names));
    return Object.fromEntries(texts.map(([name, text]) => [name.slice(ours.length), String(text)]));
  });
}

const unfit = (path: string, expected: string, received: string): Error =>
  new Error(
    `Expected ${expected} for ${path}, received ${received}. ` +
      "Write statistics with --save-stats, pytorch-fid or clean-fid.",
  );

// What is kept of one whole set to score it against another: moments of features for FID and FVD, class statistics for
// IS. Memory does not grow with the set. Legend: B batch, T frames, H W pixels.
import { InceptionScore } from "../metrics/inception-score.js";
import { Moments } from "../metrics/moments.js";
import type { Tap } from "../perceptual/feature-network.js";
import { foldFrames } from "../perceptual/frames.js";
import { noGrad, scope, Tensor, zeros } from "../torch/index.js";
import type { Networks } from "./networks.js";
import type { Plan } from "./plan.js";

/** What a set is asked for: FID and FVD need both sets, IS the judged one alone. */
export type Wanted = Readonly<Record<"fid" | "is" | "fvd", boolean>>;

interface SetStatisticsOptions {
  readonly wanted: Wanted;
  /** Clips to come: the Inception Score has to know which split one belongs to. */
  readonly count: number;
}

export class SetStatistics {
  /** One of all frames, or by the protocol one a frame index; so is `is`. */
  readonly fid: Moments[] = [];
  readonly fvd: Moments[] = [];
  readonly is: InceptionScore[] = [];
  readonly #plan: Plan;
  readonly #networks: Pick<Networks, "image" | "video">;
  readonly #options: SetStatisticsOptions;
  /** Frames that each Inception Score is to see in all. */
  #pictures = 0;

  /** The networks stay the caller's. */
  constructor(
    plan: Plan,
    networks: Pick<Networks, "image" | "video">,
    options: SetStatisticsOptions,
  ) {
    this.#plan = plan;
    this.#networks = networks;
    this.#options = options;
  }

  /** Adds bytes 0..255 as uint8 [B, 3, T, H, W]. @throws an Error where FVD is asked of pictures */
  update(bytes: Tensor): void {
    const { wanted, count } = this.#options;
    noGrad(() =>
      scope(() => {
        if (wanted.fid || wanted.is) {
          const parts = this.#plan.rules.isByFrame ? bytes.unbind(2) : [foldFrames(bytes)];
          this.#pictures = (count * bytes.size(2)) / parts.length;
          parts.forEach((part, frame) => {
            this.#look(part, frame);
          });
        }
        if (wanted.fvd) this.#watch(bytes);
      }),
    );
  }

  /** The clips that did not come could not be read. */
  finish(): void {
    scope(() => {
      for (const score of this.is) score.skip(this.#pictures - score.state()!.seen);
    });
  }

  /** Everything seen so far, to save; the scope around frees it. */
  state(): Record<string, Tensor> {
    const state: Record<string, Tensor> = { pictures: scalar(this.#pictures) };
    const add = (prefix: string, part: Record<string, Tensor>) => {
      for (const [name, tensor] of Object.entries(part)) state[`${prefix}.${name}`] = tensor;
    };
    for (const kind of ["fid", "fvd"] as const)
      this[kind].forEach((moments, frame) => {
        add(`${kind}.${frame}`, stateOf(moments));
      });
    this.is.forEach((score, frame) => {
      const { seen, sums } = score.state()!;
      add(`is.${frame}`, { seen: scalar(seen), sums });
    });
    return state;
  }

  /** Goes on from a state; copies. */
  restore(state: Readonly<Record<string, Tensor>>): void {
    this.#pictures = state.pictures!.item();
    for (const kind of ["fid", "fvd"] as const)
      for (let frame = 0; `${kind}.${frame}.mean` in state; frame++)
        this[kind][frame] = Moments.from({
          mean: state[`${kind}.${frame}.mean`]!,
          covariance: state[`${kind}.${frame}.covariance`]!,
          count: state[`${kind}.${frame}.count`]!.item(),
        });
    for (let frame = 0; `is.${frame}.sums` in state; frame++) {
      const seen = state[`is.${frame}.seen`]!.item();
      this.#score(frame).restore({ seen, sums: state[`is.${frame}.sums`]! });
    }
  }

  dispose(): void {
    for (const statistics of [...this.fid, ...this.fvd, ...this.is]) statistics.dispose();
  }

  /** pictures [N, 3, H, W] */
  #look(pictures: Tensor, frame: number): void {
    const { fid, is } = this.#options.wanted;
    const { fidTap } = this.#plan;
    const taps: Tap[] = [...(fid ? [fidTap] : []), ...(is ? (["logits"] as const) : [])];
    const features = this.#networks.image!.forward(pictures, taps);
    if (fid) addTo(this.fid, frame, features[fidTap]);
    if (is) this.#score(frame).update(features.logits);
  }

  #watch(clips: Tensor): void {
    if (clips.size(2) === 1)
      throw new Error(
        "Expected clips for fvd, received pictures (1 frame). Leave fvd out, or give videos.",
      );
    addTo(this.fvd, 0, this.#networks.video!.forward(clips, ["logits"]).logits);
  }

  #score(frame: number): InceptionScore {
    const { splits, splitOrder: order } = this.#plan.rules;
    this.is[frame] ??= new InceptionScore({ count: this.#pictures, splits, order });
    return this.is[frame];
  }
}

function addTo(list: Moments[], place: number, features: Tensor): void {
  list[place] ??= new Moments(features.size(1), { device: features.device });
  list[place].update(features);
}

const scalar = (value: number): Tensor => Tensor.from(value, [], { dtype: "float64" });

function stateOf(moments: Moments): Record<string, Tensor> {
  const { count, channels } = moments;
  const covariance =
    count > 1 ? moments.covariance() : zeros([channels, channels], { dtype: "float64" });
  return { mean: moments.mean(), covariance, count: scalar(count) };
}

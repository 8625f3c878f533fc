// What is kept of one whole set to score it against another: moments of features for FID and FVD, a bounded sample of them
// for KID and its like, class statistics for IS. Memory does not grow with the set. Legend: B batch, T frames, H W pixels.
import { FeatureReservoir } from "../metrics/feature-reservoir.js";
import { InceptionScore } from "../metrics/inception-score.js";
import { Moments } from "../metrics/moments.js";
import type { Tap } from "../perceptual/feature-network.js";
import { foldFrames } from "../perceptual/frames.js";
import { cat, noGrad, scope, Tensor } from "../torch/index.js";
import type { Networks } from "./networks.js";
import { featuresKept, type Plan, type Wanted } from "./plan.js";

interface SetStatisticsOptions {
  readonly wanted: Wanted;
  /** Clips in the whole set: the Inception Score has to know which split one belongs to. */
  readonly count: number;
}

export class SetStatistics {
  /** One of all frames, or by the protocol one a frame index; so is `is`. */
  readonly fid: Moments[] = [];
  readonly fvd: Moments[] = [];
  readonly is: InceptionScore[] = [];
  /** An even sample of the features at FID's tap; one, or none where it is not wanted. */
  readonly features: FeatureReservoir[] = [];
  readonly #plan: Plan;
  readonly #networks: Pick<Networks, "image" | "video">;
  readonly #options: SetStatisticsOptions;
  #frames = 0;

  /** The networks stay the caller's. */
  constructor(
    plan: Plan,
    networks: Pick<Networks, "image" | "video">,
    options: SetStatisticsOptions,
  ) {
    this.#plan = plan;
    this.#networks = networks;
    this.#options = options;
    if (options.wanted.features)
      this.features.push(new FeatureReservoir({ capacity: featuresKept }));
  }

  /**
   * Adds bytes 0..255 as uint8 [B, 3, T, H, W]; `clips` are their numbers in the set. @throws an Error where FVD is asked
   * of pictures, and IS of clips of several lengths
   */
  update(bytes: Tensor, clips: readonly number[]): void {
    SetStatistics.update([[this, bytes]], clips);
  }

  /**
   * The same of several sets at once, whose clips have the same numbers. Inception looks at all in one batch where that is
   * faster: a GPU is not busy with few of its last, small layers.
   */
  static update(
    sets: readonly (readonly [SetStatistics, Tensor])[],
    clips: readonly number[],
    inOneBatch = sets.every(([, bytes]) => bytes.device !== "cpu"),
  ): void {
    noGrad(() =>
      scope(() => {
        const looking = sets.filter(([set]) => set.#taps.length);
        for (const group of inOneBatch ? [looking] : looking.map((set) => [set]))
          if (group.length) SetStatistics.#look(group, clips);
        for (const [set, bytes] of sets) if (set.#options.wanted.fvd) set.#watch(bytes);
      }),
    );
  }

  /** The clips that did not come could not be read. */
  finish(): void {
    for (const score of this.is) score.skip(this.#pictureCount - score.seen);
  }

  /** Adds what `other`, of another part of the set, has seen. `other` stays as it is. */
  merge(other: SetStatistics): void {
    this.#frames ||= other.#frames;
    for (const kind of ["fid", "fvd"] as const)
      other[kind].forEach((moments, frame) => {
        this[kind][frame] ??= new Moments(moments.channels, { device: moments.device });
        this[kind][frame].merge(moments);
      });
    other.is.forEach((score, frame) => {
      this.#score(frame).merge(score);
    });
    other.features.forEach((sample, i) => {
      this.features[i]!.merge(sample);
    });
  }

  /** Everything seen so far, to save; the scope around frees it. */
  state(): Record<string, Tensor> {
    const state: Record<string, Tensor> = { frames: scalar(this.#frames) };
    const add = (prefix: string, part: Readonly<Record<string, Tensor | number>> = {}) => {
      for (const [name, value] of Object.entries(part))
        state[`${prefix}.${name}`] = typeof value === "number" ? scalar(value) : value;
    };
    for (const kind of ["fid", "fvd", "is", "features"] as const)
      this[kind].forEach((statistics, i) => {
        add(`${kind}.${i}`, { ...statistics.state() });
      });
    return state;
  }

  /** Goes on from a state, on a device; copies. */
  restore(state: Readonly<Record<string, Tensor>>, device: string): void {
    this.#frames = state.frames!.item();
    const tensor = (name: string) => state[name]!.to({ device });
    const number = (name: string) => state[name]!.item();
    for (const kind of ["fid", "fvd"] as const)
      for (let i = 0, at = `${kind}.0`; `${at}.mean` in state; at = `${kind}.${++i}`)
        this[kind][i] = Moments.restore({
          ...{ mean: tensor(`${at}.mean`), scatter: tensor(`${at}.scatter`) },
          count: number(`${at}.count`),
        });
    for (let i = 0, at = "is.0"; `${at}.sums` in state; at = `is.${++i}`)
      this.#score(i).restore({ seen: number(`${at}.seen`), sums: tensor(`${at}.sums`) });
    if (!("features.0.rows" in state)) return;
    const [rows, draws] = [state["features.0.rows"]!, state["features.0.draws"]!];
    this.features[0]!.restore({ seen: number("features.0.seen"), rows, draws });
  }

  dispose(): void {
    for (const statistics of [...this.fid, ...this.fvd, ...this.is, ...this.features])
      statistics.dispose();
  }

  /** Pictures that each Inception Score is to see in all: the frames of all clips, or by the protocol one of each. */
  get #pictureCount(): number {
    return this.#options.count * this.#framesTogether;
  }

  get #framesTogether(): number {
    return this.#plan.rules.isByFrame ? 1 : this.#frames;
  }

  /** What this set needs of Inception. */
  get #taps(): Tap[] {
    const { wanted } = this.#options;
    const needsTap = wanted.fid || wanted.features;
    return [...(needsTap ? [this.#plan.fidTap] : []), ...(wanted.is ? (["logits"] as const) : [])];
  }

  /** Sets of one plan, one network and one count of clips. */
  static #look(
    sets: readonly (readonly [SetStatistics, Tensor])[],
    clips: readonly number[],
  ): void {
    const taps = [...new Set(sets.flatMap(([set]) => set.#taps))];
    const { image } = sets[0]![0].#networks;
    const parts = sets.map(([set, bytes]) => set.#pictures(bytes)); // by set, then by frame
    const together = sets[0]![0].#framesTogether;
    const numbers = clips.flatMap((clip) =>
      Array.from({ length: together }, (_, t) => clip * together + t),
    );
    parts[0]!.forEach((_, frame) => {
      scope(() => {
        const features = image!.forward(cat(parts.map((part) => part[frame]!)), taps);
        sets.forEach(([set], i) => {
          const own = Object.fromEntries(
            taps.map((tap) => [tap, features[tap].narrow(0, i * numbers.length, numbers.length)]),
          ) as Record<Tap, Tensor>;
          set.#take(own, { numbers, frame });
        });
      });
    });
  }

  /** All frames as pictures [N, 3, H, W], or by the protocol those of each frame index. */
  #pictures(bytes: Tensor): Tensor[] {
    const frames = bytes.size(2);
    if (this.#options.wanted.is && this.#frames && this.#frames !== frames)
      throw new Error(
        `Expected clips of ${this.#frames} frames for is, as those before, received ${frames}. Cut them alike, or leave is out.`,
      );
    this.#frames = frames;
    return this.#plan.rules.isByFrame ? bytes.unbind(2) : [foldFrames(bytes)];
  }

  /** `numbers` are the pictures' places in the set. */
  #take(
    features: Record<Tap, Tensor>,
    { numbers, frame }: { numbers: readonly number[]; frame: number },
  ): void {
    const { wanted } = this.#options;
    const { fidTap } = this.#plan;
    if (wanted.fid) addTo(this.fid, frame, features[fidTap]);
    if (wanted.features) this.features[0]!.update(features[fidTap], numbers);
    if (wanted.is) this.#score(frame).update(features.logits, numbers);
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
    this.is[frame] ??= new InceptionScore({ count: this.#pictureCount, splits, order });
    return this.is[frame];
  }
}

function addTo(list: Moments[], place: number, features: Tensor): void {
  list[place] ??= new Moments(features.size(1), { device: features.device });
  list[place].update(features);
}

const scalar = (value: number): Tensor => Tensor.from(value, [], { dtype: "float64" });

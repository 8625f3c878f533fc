// One pass of a set through a tokenizer and all metrics at once, and its state, so that a killed evaluation goes on where
// it was and parts looked at by several processes become one. What a batch holds goes to the model's device once, as bytes;
// only scores come back. Reading the set is reconstruction.ts. Legend: B batch, T frames, H W pixels.
import { existsSync } from "node:fs";
import { type Batch, roundToBytes, toDevice } from "../data/batch.js";
import { keyedNoise } from "../data/noise.js";
import { ArtefactCounter, type ArtefactSums } from "../metrics/artefacts.js";
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from "../nn/safetensors.js";
import type { AutoEncoder, Code } from "../tokenizer/auto-encoder.js";
import { sampleGaussian } from "../tokenizer/posterior.js";
import { noGrad, scope, type Tensor } from "../torch/index.js";
import type { Networks } from "./networks.js";
import { type Plan, wantedOf } from "./plan.js";
import { Scoreboard, type ScoreboardState } from "./scoreboard.js";
import { SetStatistics } from "./set-statistics.js";

const purpose = 22; // apart from the other kinds of noise: train/keyed-noise.ts, codec/generate.ts

interface PassOptions {
  /** Files in the set. */
  readonly count: number;
  /** Masked models: decode from the first so many tokens. */
  readonly keep: number | undefined;
  /** Latents are drawn from the posterior with this seed; undefined: they are its mean. */
  readonly sampleSeed: number | undefined;
  /** The originals' moments are at hand. */
  readonly hasRealMoments: boolean;
}

export interface Unreadable {
  readonly file: string;
  readonly reason: string;
}

/** What a state file holds beside the tensors. */
interface SavedFacts {
  /** All that must agree for the rest of the set to be scored like its beginning. */
  readonly protocol: Readonly<Record<string, unknown>>;
  readonly nextSample: number;
  readonly unreadable: readonly Unreadable[];
  readonly scoreboard: ScoreboardState;
  readonly artefacts: ArtefactSums;
}

/** Where a pass stands in its set. */
export type Position = Pick<SavedFacts, "nextSample" | "unreadable">;

export class ReconstructionPass {
  readonly real: SetStatistics;
  readonly fake: SetStatistics;
  scoreboard: Scoreboard;
  artefacts = new ArtefactCounter();
  readonly #tokenizer: AutoEncoder;
  readonly #plan: Plan;
  readonly #networks: Networks;
  readonly #keep: number | undefined;
  readonly #sampleSeed: number | undefined;

  /** Model and networks stay the caller's. */
  constructor(
    tokenizer: AutoEncoder,
    { plan, networks }: { plan: Plan; networks: Networks },
    { count, keep, sampleSeed, hasRealMoments }: PassOptions,
  ) {
    this.#tokenizer = tokenizer;
    this.#plan = plan;
    this.#networks = networks;
    this.#keep = keep;
    this.#sampleSeed = sampleSeed;
    const wanted = wantedOf(plan, "real");
    const realWanted = { ...wanted, fid: wanted.fid && !hasRealMoments };
    this.real = new SetStatistics(plan, networks, { count, wanted: realWanted });
    this.fake = new SetStatistics(plan, networks, { count, wanted: wantedOf(plan, "fake") });
    this.scoreboard = new Scoreboard(plan, networks.lpips);
  }

  /** Reconstructs a batch and adds it to every score. */
  update(batch: Batch): void {
    noGrad(() =>
      scope(() => {
        const { original, recon, pixels } = this.reconstruct(batch);
        this.scoreboard.update(batch, original, recon);
        this.artefacts.update(original, recon, pixels);
        const sides = [
          [this.real, original],
          [this.fake, recon],
        ] as const;
        SetStatistics.update(sides, batch.indices);
      }),
    );
  }

  /** Bytes before and after as uint8, and what the decoder gave, not clamped: each [B, 3, T, H, W] on the model's device. */
  reconstruct(
    batch: Pick<Batch, "bytes" | "shape" | "indices">,
  ): Record<"original" | "recon" | "pixels", Tensor> {
    return noGrad(() =>
      scope(() => {
        const bytes = toDevice(batch, this.#device);
        const posterior = this.#tokenizer.encode(bytes);
        const original = bytes.contiguous();
        const { grid, size } = posterior;
        const latent = this.#latentOf(posterior, batch.indices);
        const pixels = this.#tokenizer.decode(latent, grid, { size, keep: this.#keep });
        return { original, recon: roundToBytes(pixels, this.#plan.rules.rounding), pixels };
      }),
    );
  }

  /** The noise of a sample is keyed by its place in the set: no batch size, part or resume changes it. */
  #latentOf({ mean, logvar }: Code, indices: readonly number[]): Tensor {
    const seed = this.#sampleSeed;
    if (seed === undefined) return mean;
    if (!logvar)
      throw new Error(
        `Expected a model whose code is a distribution for latent sample, received ${this.#tokenizer.name}. Score its mean.`,
      );
    const keys = indices.map((index) => [seed, purpose, index]);
    return sampleGaussian({ mean, logvar }, keyedNoise(keys, mean.shape.slice(1), mean.device));
  }

  get #device(): string {
    return this.#tokenizer.placement.device;
  }

  /** Writes everything seen so far, whole or not at all. */
  save(path: string, protocol: SavedFacts["protocol"], position: Position): void {
    const facts: SavedFacts = {
      protocol,
      ...position,
      scoreboard: this.scoreboard.state,
      artefacts: this.artefacts.sums,
    };
    scope(() => {
      const sides = Object.entries({ real: this.real.state(), fake: this.fake.state() });
      const tensors = sides.flatMap(([side, state]) =>
        Object.entries(state).map(([name, tensor]) => [`${side}.${name}`, tensor] as const),
      );
      writeSafetensors(path, Object.fromEntries(tensors), { evaluation: JSON.stringify(facts) });
    });
  }

  /**
   * Goes on from a state that was saved under the same protocol.
   * @throws an Error that names each field in which the saved evaluation differs
   */
  restore(path: string, protocol: SavedFacts["protocol"]): Position {
    const { evaluation = "{}" } = readSafetensorsHeader(path).metadata;
    const saved = JSON.parse(evaluation) as Partial<SavedFacts>;
    requireSame(path, saved.protocol ?? {}, protocol);
    const { scoreboard, artefacts, nextSample, unreadable } = saved as SavedFacts;
    this.scoreboard = new Scoreboard(this.#plan, this.#networks.lpips, scoreboard);
    this.artefacts = new ArtefactCounter(artefacts);
    scope(() => {
      const tensors = Object.entries(readSafetensors(path));
      for (const side of ["real", "fake"] as const) {
        const own = tensors.filter(([name]) => name.startsWith(`${side}.`));
        this[side].restore(
          Object.fromEntries(own.map(([name, tensor]) => [name.slice(side.length + 1), tensor])),
          this.#device,
        );
      }
    });
    return { nextSample, unreadable };
  }

  /** Adds what a pass over another part of the set has seen; the other stays as it is. */
  merge(other: ReconstructionPass): void {
    this.real.merge(other.real);
    this.fake.merge(other.fake);
    this.scoreboard.merge(other.scoreboard);
    this.artefacts.merge(other.artefacts);
  }

  dispose(): void {
    this.real.dispose();
    this.fake.dispose();
  }
}

/** Where the pass of a saved state stands: the next sample; undefined where there is no such file. */
export function readPosition(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const { evaluation = "{}" } = readSafetensorsHeader(path).metadata;
  return (JSON.parse(evaluation) as Partial<SavedFacts>).nextSample;
}

function requireSame(
  path: string,
  saved: SavedFacts["protocol"],
  now: SavedFacts["protocol"],
): void {
  const names = [...new Set([...Object.keys(saved), ...Object.keys(now)])];
  const unlike = names.filter((name) => JSON.stringify(saved[name]) !== JSON.stringify(now[name]));
  if (!unlike.length) return;
  const show = (value: unknown) => JSON.stringify(value ?? null);
  const lines = unlike.map((name) => `  ${name}: ${show(saved[name])}, now ${show(now[name])}`);
  throw new Error(
    `Expected the evaluation that ${path} was saved by, received another\n${lines.join("\n")}\n` +
      "Ask for the same, or start anew without --resume.",
  );
}

// The Diffusion Transformer: one token per latent token, the tokenizer's attention and SwiGLU, and adaLN-Zero: shift,
// scale and gate of every sub-layer come from timestep and class, the gates start at 0. Spec section 6.
// B batch, N tokens, c latent channels, D width.
import { Attention } from "../nn/attention.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import { type GatedStream, gatedSum, modulate } from "../nn/fused/modulate.js";
import { Linear } from "../nn/linear.js";
import { parameter } from "../nn/parameters.js";
import { type Grid, type Rope, RopeTables } from "../nn/rope.js";
import { SwiGLU } from "../nn/swiglu.js";
import { call, cat, keep, scope, Tensor } from "../torch/index.js";
import { mlpHidden } from "../tower.js";
import { type GeneratorConfig, timeFeatures } from "./config.js";

export class Dit {
  readonly embed: Linear; // c -> D
  readonly timeEmbed: TimeEmbed;
  readonly labelEmbed: Tensor; // [classes + 1, D]; the last row is the null class
  readonly blocks: readonly DitBlock[];
  readonly modulation: Linear; // of the last norm: shift, scale
  readonly toLatent: Linear; // D -> c
  readonly #ropes: RopeTables;

  constructor({ width, depth, heads, channels, classes }: GeneratorConfig) {
    this.embed = new Linear(channels, width);
    this.timeEmbed = new TimeEmbed(width);
    this.labelEmbed = parameter([classes + 1, width]);
    this.blocks = Array.from({ length: depth }, () => new DitBlock(width, heads));
    this.modulation = new Linear(width, 2 * width);
    this.toLatent = new Linear(width, channels);
    this.#ropes = new RopeTables(width / heads);
  }

  /**
   * x [B, N, c], standardised latents with noise; timesteps float32 [B] in [0, 1000]; labels int64 [B], unchecked ->
   * the prediction, float32 [B, N, c].
   */
  forward(
    x: Tensor,
    timesteps: Tensor,
    labels: Tensor,
    { grid, checkpointing }: { grid: Grid; checkpointing?: Checkpointing | undefined },
  ): Tensor {
    const { dtype } = this.embed.weight;
    const rope = this.#ropes.at(grid, 0, x.device);
    const cond = this.#condition(timesteps, labels); // [B, D]
    let stream: GatedStream = { x: this.embed.forward(x.to({ dtype })) }; // [B, N, D]
    for (const block of this.blocks)
      stream = checkpointing
        ? {
            // A segment is a function of parameters and its input alone, so it makes the condition anew.
            x: checkpointing.run(
              (input) => block.forward(input, this.#condition(timesteps, labels), rope),
              stream.x,
            ),
          }
        : scope(() => block.extend(stream, cond, rope));
    const [shift, scale] = this.modulation.forward(cond).unsqueeze(1).chunk(2, -1); // [B, 1, D]
    const out = this.toLatent.forward(modulate(stream, { shift: shift!, scale: scale! })[1]);
    return out.to({ dtype: "float32" });
  }

  /** silu(timestep + class), what every modulation reads. [B, D] */
  #condition(timesteps: Tensor, labels: Tensor): Tensor {
    const label = call("embedding", this.labelEmbed, labels);
    return this.timeEmbed.forward(timesteps).add(label).silu();
  }

  clearCache(): void {
    this.#ropes.clear();
    this.timeEmbed.clearCache();
  }
}

export class DitBlock {
  readonly attn: Attention;
  readonly mlp: SwiGLU;
  readonly modulation: Linear; // shift, scale, gate of the attention, then of the MLP

  constructor(width: number, heads: number) {
    this.attn = new Attention(width, heads);
    this.mlp = new SwiGLU(width, mlpHidden(width));
    this.modulation = new Linear(width, 6 * width);
  }

  /** x: [B, N, D], cond: [B, D] -> [B, N, D] */
  forward(x: Tensor, cond: Tensor, rope: Rope): Tensor {
    return gatedSum(this.extend({ x }, cond, rope));
  }

  /** Over the residual stream [B, N, D]: sum, norm, attention; sum, norm, MLP; each shifted, scaled and gated. */
  extend(stream: GatedStream, cond: Tensor, rope: Rope): GatedStream {
    const [shift1, scale1, gate1, shift2, scale2, gate2] = this.modulation
      .forward(cond)
      .unsqueeze(1)
      .chunk(6, -1) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]; // [B, 1, D]
    const [x, normed] = modulate(stream, { shift: shift1, scale: scale1 });
    const attended = { ...this.attn.branch(normed, rope), gate: gate1 };
    const [y, normedAgain] = modulate({ x, branch: attended }, { shift: shift2, scale: scale2 });
    return { x: y, branch: { ...this.mlp.branch(normedAgain), gate: gate2 } };
  }
}

/** Sinusoids of the timestep (256, longest period 10000), then two linear maps with a SiLU between. */
export class TimeEmbed {
  readonly fc1: Linear;
  readonly fc2: Linear;
  /** By device, where they stay: a copy from memory would make a GPU's queue run empty in each step. */
  readonly #frequencies = new Map<string, Tensor>();

  constructor(width: number) {
    this.fc1 = new Linear(timeFeatures, width);
    this.fc2 = new Linear(width, width);
  }

  /** timesteps [B] -> [B, D] */
  forward(timesteps: Tensor): Tensor {
    const { dtype } = this.fc1.weight;
    return this.fc2.forward(this.fc1.forward(this.#sinusoids(timesteps).to({ dtype })).silu());
  }

  /** cos(t f_k), then sin(t f_k), with f_k = 10000^(-k / 128): float32 [B, 256]. */
  #sinusoids(timesteps: Tensor): Tensor {
    const frequencies = this.#frequenciesOn(timesteps.device);
    const phases = timesteps.to({ dtype: "float32" }).unsqueeze(1).mul(frequencies);
    return cat([phases.cos(), phases.sin()], -1);
  }

  #frequenciesOn(device: string): Tensor {
    const known = this.#frequencies.get(device);
    if (known) return known;
    const half = timeFeatures / 2;
    const values = Float32Array.from({ length: half }, (_, k) => 10000 ** (-k / half));
    const table = keep(Tensor.from(values, [1, half], { device }));
    this.#frequencies.set(device, table);
    return table;
  }

  clearCache(): void {
    for (const table of this.#frequencies.values()) table.dispose();
    this.#frequencies.clear();
  }
}

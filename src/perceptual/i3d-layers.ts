// The layers of the Inflated 3D Inception (Carreira and Zisserman 2017, arXiv 1705.07750) as a table, under the names of
// its common PyTorch port. i3d.ts runs it; i3d-weights.ts fills it.
import type { Shape } from "../torch/index.js";

/** Convolution, batch norm, ReLU; padded as TensorFlow's SAME. */
export interface UnitStep {
  readonly kind: "unit";
  readonly name: string;
  /** [out, in, time, height, width] */
  readonly shape: Shape;
  readonly stride: number;
}

/** Max pool, padded as TensorFlow's SAME. Sizes are [time, height, width]. */
export interface PoolStep {
  readonly kind: "pool";
  readonly kernel: Shape;
  readonly stride: Shape;
}

/** Branches side by side, joined along the channels. */
export interface MixedStep {
  readonly kind: "mixed";
  readonly branches: readonly (readonly (UnitStep | PoolStep)[])[];
}

export type Step = UnitStep | PoolStep | MixedStep;

const unit = (
  name: string,
  [into, out]: readonly [number, number],
  { kernel = 1, stride = 1 } = {},
): UnitStep => ({ kind: "unit", name, shape: [out, into, kernel, kernel, kernel], stride });

const pool = (kernel: Shape, stride: Shape): PoolStep => ({ kind: "pool", kernel, stride });

/** Widths of 1 x 1, of 3 x 3 after its reduction twice, and of the pool's projection. */
type Widths = readonly [number, number, number, number, number, number];

function mixed(name: string, into: number, [b0, b1a, b1b, b2a, b2b, b3b]: Widths): MixedStep {
  const cube = { kernel: 3 };
  return {
    kind: "mixed",
    branches: [
      [unit(`${name}.b0`, [into, b0])],
      [unit(`${name}.b1a`, [into, b1a]), unit(`${name}.b1b`, [b1a, b1b], cube)],
      [unit(`${name}.b2a`, [into, b2a]), unit(`${name}.b2b`, [b2a, b2b], cube)],
      [pool([3, 3, 3], [1, 1, 1]), unit(`${name}.b3b`, [into, b3b])],
    ],
  };
}

/** From pixels [B, 3, T, 224, 224] to features [B, 1024, T / 8, 7, 7]. */
export const steps: readonly Step[] = [
  unit("Conv3d_1a_7x7", [3, 64], { kernel: 7, stride: 2 }),
  pool([1, 3, 3], [1, 2, 2]),
  unit("Conv3d_2b_1x1", [64, 64]),
  unit("Conv3d_2c_3x3", [64, 192], { kernel: 3 }),
  pool([1, 3, 3], [1, 2, 2]),
  mixed("Mixed_3b", 192, [64, 96, 128, 16, 32, 32]),
  mixed("Mixed_3c", 256, [128, 128, 192, 32, 96, 64]),
  pool([3, 3, 3], [2, 2, 2]),
  mixed("Mixed_4b", 480, [192, 96, 208, 16, 48, 64]),
  mixed("Mixed_4c", 512, [160, 112, 224, 24, 64, 64]),
  mixed("Mixed_4d", 512, [128, 128, 256, 24, 64, 64]),
  mixed("Mixed_4e", 512, [112, 144, 288, 32, 64, 64]),
  mixed("Mixed_4f", 528, [256, 160, 320, 32, 128, 128]),
  pool([2, 2, 2], [2, 2, 2]),
  mixed("Mixed_5b", 832, [256, 160, 320, 32, 128, 128]),
  mixed("Mixed_5c", 832, [384, 192, 384, 48, 128, 128]),
];

/** A 1 x 1 x 1 convolution with a bias, after the average pool: "logits.conv3d". */
export const logitsShape: Shape = [400, 1024, 1, 1, 1];

/** Every unit in the network's order. */
export const units: readonly UnitStep[] = steps
  .flatMap((step) => (step.kind === "mixed" ? step.branches.flat() : [step]))
  .filter((step) => step.kind === "unit");

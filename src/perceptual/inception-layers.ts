// The layers of Inception v3 (Szegedy 2015, arXiv 1512.00567) as data, under torchvision's names. The 2015 network of
// FID and torchvision's are one table with other pools and classes. Running it is inception.ts.
import type { Tap } from "./feature-network.js";

/** Convolution, batch norm, ReLU; without padding where it strides, so as to keep the size elsewhere. */
export interface ConvLayer {
  readonly kind: "conv";
  readonly name: string;
  readonly out: number;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: number;
  readonly padding: readonly [height: number, width: number];
}

export type Layer =
  | ConvLayer
  | { readonly kind: "maxPool"; readonly stride: number; readonly padding: number }
  | { readonly kind: "averagePool" }
  /** branches side by side, their channels one after another */
  | { readonly kind: "fork"; readonly branches: readonly (readonly Layer[])[] };

/** The mean over space of what arrives at a tap is a feature. */
export type Step = Layer | { readonly kind: "tap"; readonly tap: Exclude<Tap, "logits"> };

interface ConvOptions {
  readonly stride?: number;
  /** By half the kernel; a stride of 2 goes without. */
  readonly isPadded?: boolean;
}

function conv(
  name: string,
  out: number,
  kernel: number | readonly [number, number] = 1,
  { stride = 1, isPadded = stride === 1 }: ConvOptions = {},
): ConvLayer {
  const [height, width] = typeof kernel === "number" ? [kernel, kernel] : kernel;
  const padding = isPadded ? ([(height - 1) / 2, (width - 1) / 2] as const) : ([0, 0] as const);
  return { kind: "conv", name, out, kernel: [height, width], stride, padding };
}

const fork = (...branches: Layer[][]): Layer => ({ kind: "fork", branches });
const tap = (name: Exclude<Tap, "logits">): Step => ({ kind: "tap", tap: name });
const halve: Layer = { kind: "maxPool", stride: 2, padding: 0 };
const smooth: Layer = { kind: "averagePool" };
const dilate: Layer = { kind: "maxPool", stride: 1, padding: 1 };

const row = [1, 7] as const;
const column = [7, 1] as const;

/** 35 x 35 */
const blockA = (name: string, poolWidth: number): Layer =>
  fork(
    [conv(`${name}.branch1x1`, 64)],
    [conv(`${name}.branch5x5_1`, 48), conv(`${name}.branch5x5_2`, 64, 5)],
    [
      conv(`${name}.branch3x3dbl_1`, 64),
      conv(`${name}.branch3x3dbl_2`, 96, 3),
      conv(`${name}.branch3x3dbl_3`, 96, 3),
    ],
    [smooth, conv(`${name}.branch_pool`, poolWidth)],
  );

/** 35 x 35 to 17 x 17 */
const blockB = (name: string): Layer =>
  fork(
    [conv(`${name}.branch3x3`, 384, 3, { stride: 2 })],
    [
      conv(`${name}.branch3x3dbl_1`, 64),
      conv(`${name}.branch3x3dbl_2`, 96, 3),
      conv(`${name}.branch3x3dbl_3`, 96, 3, { stride: 2 }),
    ],
    [halve],
  );

/** 17 x 17 */
const blockC = (name: string, width: number): Layer =>
  fork(
    [conv(`${name}.branch1x1`, 192)],
    [
      conv(`${name}.branch7x7_1`, width),
      conv(`${name}.branch7x7_2`, width, row),
      conv(`${name}.branch7x7_3`, 192, column),
    ],
    [
      conv(`${name}.branch7x7dbl_1`, width),
      conv(`${name}.branch7x7dbl_2`, width, column),
      conv(`${name}.branch7x7dbl_3`, width, row),
      conv(`${name}.branch7x7dbl_4`, width, column),
      conv(`${name}.branch7x7dbl_5`, 192, row),
    ],
    [smooth, conv(`${name}.branch_pool`, 192)],
  );

/** 17 x 17 to 8 x 8 */
const blockD = (name: string): Layer =>
  fork(
    [conv(`${name}.branch3x3_1`, 192), conv(`${name}.branch3x3_2`, 320, 3, { stride: 2 })],
    [
      conv(`${name}.branch7x7x3_1`, 192),
      conv(`${name}.branch7x7x3_2`, 192, row),
      conv(`${name}.branch7x7x3_3`, 192, column),
      conv(`${name}.branch7x7x3_4`, 192, 3, { stride: 2 }),
    ],
    [halve],
  );

/** 8 x 8 */
const blockE = (name: string, pool: Layer): Layer => {
  const split = (stem: string) =>
    fork([conv(`${stem}a`, 384, [1, 3])], [conv(`${stem}b`, 384, [3, 1])]);
  return fork(
    [conv(`${name}.branch1x1`, 320)],
    [conv(`${name}.branch3x3_1`, 384), split(`${name}.branch3x3_2`)],
    [
      conv(`${name}.branch3x3dbl_1`, 448),
      conv(`${name}.branch3x3dbl_2`, 384, 3),
      split(`${name}.branch3x3dbl_3`),
    ],
    [pool, conv(`${name}.branch_pool`, 192)],
  );
};

/** Pixels [N, 3, 299, 299] to the last features, [N, 2048, 8, 8]; `lastPool` is that of Mixed_7c. */
export function inceptionSteps({ lastPool }: { lastPool: "average" | "max" }): readonly Step[] {
  return [
    conv("Conv2d_1a_3x3", 32, 3, { stride: 2 }),
    conv("Conv2d_2a_3x3", 32, 3, { isPadded: false }),
    conv("Conv2d_2b_3x3", 64, 3),
    halve,
    tap("64"),
    conv("Conv2d_3b_1x1", 80),
    conv("Conv2d_4a_3x3", 192, 3, { isPadded: false }),
    halve,
    tap("192"),
    blockA("Mixed_5b", 32),
    blockA("Mixed_5c", 64),
    blockA("Mixed_5d", 64),
    blockB("Mixed_6a"),
    blockC("Mixed_6b", 128),
    blockC("Mixed_6c", 160),
    blockC("Mixed_6d", 160),
    blockC("Mixed_6e", 192),
    tap("768"),
    blockD("Mixed_7a"),
    blockE("Mixed_7b", smooth),
    blockE("Mixed_7c", lastPool === "max" ? dilate : smooth),
    tap("2048"),
  ];
}

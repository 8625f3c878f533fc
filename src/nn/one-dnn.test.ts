// Plain inference in bfloat16 on packed weights, against the same layer in float32 on the same rounded numbers: within 2 %
// of the largest output, bfloat16's rounding. Skipped where oneDNN's product is not used.
import { describe, expect, test } from "vitest";
import { Generator, liveTensors, noGrad, randn, scope, type Tensor } from "../torch/index.js";
import { suitsOneDnn } from "./one-dnn.js";
import { disposeModel, moveTo } from "./parameters.js";
import { SwiGLU } from "./swiglu.js";

/** Largest difference from the same layer in float32, over the largest output. */
function error(layer: SwiGLU, x: Tensor): number {
  return scope(() => {
    const wide = new SwiGLU(32, 48);
    noGrad(() => {
      for (const name of ["w12", "w3"] as const)
        for (const kind of ["weight", "bias"] as const) wide[name][kind].copy_(layer[name][kind]);
    });
    const expected = wide.forward(x.to({ dtype: "float32" })).detach();
    const actual = noGrad(() => layer.forward(x)).to({ dtype: "float32" });
    const worst = actual.sub(expected).abs().amax().item() / expected.abs().amax().item();
    disposeModel(wide);
    return worst;
  });
}

const generator = new Generator(1);
const x = randn([3, 5, 32], { generator }).to({ dtype: "bfloat16" });
const usable = noGrad(() =>
  suitsOneDnn(x, randn([2, 32], { generator }).to({ dtype: "bfloat16" })),
);

describe.skipIf(!usable)("a bfloat16 layer's packed weights", () => {
  test("give what the plain ones do, follow every change of them, and die with them", () => {
    const before = liveTensors();
    const layer = new SwiGLU(32, 48);
    const refill = () =>
      noGrad(() =>
        scope(() => {
          for (const { weight, bias } of [layer.w12, layer.w3]) {
            weight.copy_(randn(weight.shape, { generator }));
            bias.copy_(randn(bias.shape, { generator }));
          }
        }),
      );
    refill();
    moveTo(layer, { dtype: "bfloat16" });
    expect(error(layer, x)).toBeLessThan(0.02);
    const packed = liveTensors() - before;
    expect(error(layer, x)).toBeLessThan(0.02);
    expect(liveTensors() - before).toBe(packed);
    refill();
    expect(error(layer, x)).toBeLessThan(0.02);
    disposeModel(layer);
    expect(liveTensors()).toBe(before);
  });
});

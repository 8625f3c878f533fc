// Gradients against hand-worked ones (exact), and the modes: each is restored however its function ends.

import { describe, expect, test } from "vitest";
import {
  autocast,
  grad,
  inferenceMode,
  liveTensors,
  memory,
  noGrad,
  ones,
  scope,
  Tensor,
  TorchError,
} from "./index.js";

const leaf = (...values: number[]) => Tensor.from(values).requiresGrad_();
const values = (tensor: Tensor | null | undefined) => [...(tensor?.toArray() ?? [])].map(Number);

describe("backward", () => {
  test("fills the leaves' gradients, and adds to what is there", () => {
    const x = leaf(1, 2, 3);
    x.square().sum().backward();
    expect(values(x.grad)).toEqual([2, 4, 6]);
    x.sum().backward();
    expect(values(x.grad)).toEqual([3, 5, 7]);
    x.grad = null;
    expect(x.grad).toBeNull();
  });

  test("takes the gradient of an output with several elements", () => {
    const x = leaf(1, 2);
    x.mul(3).backward(Tensor.from([1, -1]));
    expect(values(x.grad)).toEqual([3, -3]);
    expect(() => x.mul(3).backward()).toThrow(/backward: .*scalar/);
  });

  test("goes through a graph once, or more often if told to keep it", () => {
    const x = leaf(2);
    const y = x.square().sum();
    y.backward(undefined, { retainGraph: true });
    y.backward();
    expect(values(x.grad)).toEqual([8]);
    expect(() => y.backward()).toThrow(TorchError);
  });

  test("finds a tensor that was changed in place after autograd saved it", () => {
    const x = leaf(1, 2);
    const y = x.exp();
    y.add_(1);
    expect(() => y.square().sum().backward()).toThrow(/modified by an inplace operation/);
  });

  test("frees what it saved, whether or not it ran", () => {
    const x = leaf(...Array<number>(1000).fill(1));
    scope(() => x.exp().sum().backward());
    const [live, bytes] = [liveTensors(), memory().allocatedBytes];
    for (let i = 0; i < 10; i++) {
      scope(() => x.exp().square().sum().backward());
      scope(() => x.exp().square().sum().item());
    }
    expect(liveTensors()).toBe(live);
    expect(memory().allocatedBytes).toBe(bytes);
  });

  test("a gradient of another shape or dtype is refused", () => {
    const x = leaf(1, 2);
    expect(() => Object.assign(x, { grad: ones([3]) })).toThrow(/own shape/);
    expect(() => Object.assign(x, { grad: ones([2], { dtype: "int32" }) })).toThrow(/own shape/);
  });

  test("only floating tensors and leaves can be asked to learn", () => {
    expect(() => ones([1], { dtype: "int64" }).requiresGrad_()).toThrow(/floating point/);
    expect(() => leaf(1).mul(2).requiresGrad_(false)).toThrow(/leaf/);
  });
});

describe("grad", () => {
  test("gives vector-Jacobian products and leaves .grad alone", () => {
    const [x, y] = [leaf(1, 2), leaf(3, 4)];
    const [dx, dy] = grad([x.mul(y)], [x, y], { gradOutputs: [Tensor.from([1, 10])] });
    expect([values(dx), values(dy)]).toEqual([
      [3, 40],
      [1, 20],
    ]);
    expect(x.grad).toBeNull();
  });

  test("can be differentiated again", () => {
    const x = leaf(2);
    const [first] = grad([x.pow(3).sum()], [x], { createGraph: true });
    const [second] = grad([first!.sum()], [x]);
    expect([values(first), values(second)]).toEqual([[12], [12]]);
  });

  test("refuses an input that the output does not depend on", () => {
    expect(() => grad([leaf(1).sum()], [leaf(1)])).toThrow(/grad: .*not.*used/);
  });
});

describe("modes", () => {
  const fail = () => {
    throw new RangeError("on purpose");
  };
  const records = () => leaf(1).mul(2).requiresGrad;

  test("noGrad records nothing and ends with its function, also a failing one", () => {
    expect(noGrad(records)).toBe(false);
    expect(noGrad(() => noGrad(records) || records())).toBe(false);
    expect(records()).toBe(true);
    expect(() => noGrad(fail)).toThrow(RangeError);
    expect(records()).toBe(true);
  });

  test("inferenceMode makes tensors that can never enter autograd, and ends likewise", () => {
    const made = inferenceMode(() => ones([1]));
    expect(() => made.mul(leaf(1))).toThrow(/[Ii]nference tensor/);
    expect(inferenceMode(() => inferenceMode(() => 1) && records())).toBe(false);
    expect(() => inferenceMode(fail)).toThrow(RangeError);
    expect(records()).toBe(true);
  });

  test("autocast multiplies matrices in the lower precision, nests, and ends likewise", () => {
    const dtype = () => ones([2, 2]).matmul(ones([2, 2])).dtype;
    const low = { device: "cpu", dtype: "bfloat16" } as const;
    expect(autocast(low, dtype)).toBe("bfloat16");
    expect(dtype()).toBe("float32");
    autocast(low, () => {
      expect(autocast({ device: "cpu", dtype: "float32" }, dtype)).toBe("float32");
      expect(autocast({ device: "cpu", dtype: "float16" }, dtype)).toBe("float16");
      expect(dtype()).toBe("bfloat16");
      expect(() => autocast({ device: "cpu", dtype: "float32" }, fail)).toThrow(RangeError);
      expect(dtype()).toBe("bfloat16");
    });
    expect(() => autocast(low, fail)).toThrow(RangeError);
    expect(dtype()).toBe("float32");
  });

  test("autocast's copies of weights do not outlive it", () => {
    const weight = ones([64, 64]).requiresGrad_();
    const run = () =>
      scope(() =>
        autocast({ device: "cpu", dtype: "bfloat16" }, () => ones([64, 64]).matmul(weight).dtype),
      );
    run();
    const bytes = memory().allocatedBytes;
    for (let i = 0; i < 5; i++) run();
    expect(memory().allocatedBytes).toBe(bytes);
  });
});

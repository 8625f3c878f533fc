// Errors of the engine: each is a TorchError with the operator and the operands' shapes, and the process lives on.

import { describe, expect, test } from "vitest";
import {
  autocast,
  call,
  cat,
  Generator,
  grad,
  memory,
  ones,
  operatorNames,
  ScriptModule,
  setFlag,
  setNumThreads,
  type Tensor,
  TorchError,
  zeros,
} from "./index.js";

const freed = () => {
  const tensor = ones([2]);
  tensor.dispose();
  return tensor;
};

/** What a function throws. */
function thrown(run: () => unknown): TorchError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(TorchError);
    return error as TorchError;
  }
  throw new Error("Expected an error, received none.");
}

describe("an error", () => {
  test("carries the operator, the reason and the shapes, without libtorch's backtrace", () => {
    const error = thrown(() => ones([2, 3]).matmul(ones([2, 3], { dtype: "float64" })));
    expect(error.operator).toBe("matmul");
    expect(error.message).toMatch(/^matmul: .*\(float32 \[2, 3\], float64 \[2, 3\]\)$/s);
    expect(error.message).not.toMatch(/Exception raised from|frame #|\n/);
    expect(error.cause).toBeInstanceOf(Error);
  });

  test.each<[string, () => unknown, RegExp]>([
    ["other shapes", () => ones([2]).add(ones([3])), /^add\.Tensor: .*must match/],
    ["another dtype", () => ones([2]).matmul(ones([2], { dtype: "int64" })), /dtype/],
    ["a view that cannot be", () => ones([2, 3]).view([4]), /invalid for input of size 6/],
    ["a dimension that is not there", () => ones([2]).sum(3), /out of range/],
    ["an index past the end", () => ones([2]).select(0, 5), /out of range/],
    ["an unknown operator", () => call("no_such"), /Unknown operator aten::no_such\./],
    ["an unknown overload", () => call("add.No", ones([1])), /Unknown operator aten::add\.No\./],
    ["too few arguments", () => call("add.Tensor", ones([1])), /"other": Expected a value/],
    ["too many arguments", () => call("neg", ones([1]), 1, 2), /at most 1 arguments, received 3/],
    ["text for a number", () => ones([1]).add("2" as never), /"other".*received a string/],
    ["a number for a tensor", () => ones([1]).matmul(1 as never), /Expected a tensor, received 1/],
    ["a tensor for a number", () => ones([1]).clamp(ones([1]) as never), /received a tensor/],
    ["half a dimension", () => ones([1]).sum(0.5), /whole number, received 0\.5/],
    ["a hole in a list", () => cat([ones([1]), undefined as never]), /received undefined/],
    ["an empty list", () => cat([]), /non-empty/],
    ["a dtype's code nobody knows", () => call("to.dtype", ones([1]), 99), /codes, received 99/],
    ["a memory format nobody knows", () => call("clone", ones([1]), 9), /codes, received 9/],
    ["a negative seed", () => new Generator(-1), /at least 0, received -1/],
    ["a seed of more than 64 bits", () => new Generator(2n ** 64n), /whole number/],
    ["another generator's state", () => new Generator(1).setState(new Uint8Array(3)), /RNG state/],
    ["a module that is not one", () => new ScriptModule("no-such-file.pt"), /no-such-file\.pt/],
  ])("names %s", (_, run, message) => {
    expect(thrown(run).message).toMatch(message);
  });

  test.each<[string, (x: Tensor) => unknown]>([
    ["as an operand", (x) => x.add(1)],
    ["as the second operand", (x) => ones([2]).add(x)],
    ["in a list", (x) => cat([ones([2]), x])],
    ["in place", (x) => x.zero_()],
    ["read", (x) => x.toArray()],
    ["as bytes", (x) => x.toBytes()],
    ["asked for its shape", (x) => x.shape],
    ["asked for one number", (x) => x.item()],
    ["asked for a gradient", (x) => x.grad],
    ["asked to learn", (x) => x.requiresGrad_()],
    ["asked whether it learns", (x) => x.requiresGrad],
    ["sent backward", (x) => x.backward()],
    ["as an input of grad", (x) => grad([ones([])], [x])],
    ["as a gradient", (x) => Object.assign(ones([2]), { grad: x })],
  ])("names a freed tensor %s", (_, use) => {
    expect(thrown(() => use(freed())).message).toMatch(/live tensor, received one that was freed/);
  });

  test("names a setting that is not one", () => {
    expect(() => setNumThreads(0)).toThrow(/1 to 4096 threads/);
    expect(() => setFlag("warp" as never, true)).toThrow(/Unknown flag warp/);
    expect(() => autocast({ device: "abacus", dtype: "bfloat16" }, () => 1)).toThrow(/abacus/);
  });
});

describe("memory that is not there is refused before it is asked for", () => {
  test.each<[string, () => Tensor]>([
    ["one TiB", () => zeros([2 ** 40])],
    ["more than the addresses of a machine", () => zeros([2 ** 53])],
    ["a product past 64 bits", () => zeros([2 ** 40, 2 ** 40])],
    ["the largest whole number", () => call("zeros", [2n ** 63n - 1n])],
    [
      "a little more than there is",
      () => zeros([Math.ceil(memory().availableBytes * 1.05)], { dtype: "uint8" }),
    ],
    ["a matrix product of views", () => ones([2 ** 20, 1]).matmul(ones([1, 2 ** 20]))],
    [
      "a copy of an expanded number",
      () =>
        ones([1])
          .expand([2 ** 40])
          .contiguous(),
    ],
  ])("%s", (_, make) => {
    expect(thrown(make).message).toMatch(/out of memory|overflow|too large/i);
    expect(ones([2]).sum().item()).toBe(2);
  });

  test("the message says how much was asked for and how much there is", () => {
    expect(thrown(() => zeros([2 ** 40])).message).toMatch(
      /4194304 MiB asked for, \d+ MiB available/,
    );
  });
});

test("the dispatcher's operators are all there", () => {
  expect(operatorNames().length).toBeGreaterThan(2000);
  expect(operatorNames()).toContain("aten::scaled_dot_product_attention");
});

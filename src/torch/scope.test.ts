// Who frees what: counted with liveTensors() (exact) and, for the garbage collector, in a process with --expose-gc.

import { describe, expect, test } from "vitest";
import { runChild } from "../../test/child.js";
import { keep, liveTensors, memory, ones, scope, type Tensor, TorchError } from "./index.js";

/** How many more tensors live after a function than before. */
function growth(run: () => unknown): number {
  const before = liveTensors();
  run();
  return liveTensors() - before;
}

describe("a scope", () => {
  test("frees what was made inside and gives back a number", () => {
    expect(growth(() => scope(() => ones([3]).add(1).sum().item()))).toBe(0);
  });

  test("frees when its function throws, and lets the error through", () => {
    const failing = () =>
      scope(() => {
        ones([3]).add(1);
        throw new RangeError("on purpose");
      });
    expect(growth(() => expect(failing).toThrow(RangeError))).toBe(0);
    expect(
      growth(() => expect(() => scope(() => ones([2]).add(ones([3])))).toThrow(TorchError)),
    ).toBe(0);
  });

  test("lets the tensor it returns out, alone", () => {
    let result: Tensor | undefined;
    expect(growth(() => (result = scope(() => ones([3]).add(1).mul(2))))).toBe(1);
    expect([...result!.toArray()]).toEqual([4, 4, 4]);
    expect(growth(() => result!.dispose())).toBe(-1);
  });

  test("lets out what objects, arrays, Maps, Sets and class instances hold, at any depth", () => {
    class Pair {
      constructor(readonly left: Tensor) {}
    }
    const results: Tensor[] = [];
    const made = growth(() => {
      const { list, map, pair } = scope(() => ({
        list: [ones([1]), [new Set([ones([1])])]] as const,
        map: new Map([["x", { y: ones([1]).add(1) }]]),
        pair: new Pair(ones([1])),
      }));
      results.push(list[0], ...list[1][0]!, map.get("x")!.y, pair.left);
    });
    expect(made).toBe(4);
    expect(results.map((tensor) => tensor.item())).toEqual([1, 1, 2, 1]);
    for (const tensor of results) tensor.dispose();
  });

  test("survives a result that contains itself", () => {
    const cyclic: { tensor?: Tensor; self?: unknown } = {};
    expect(
      growth(() => scope(() => Object.assign(cyclic, { tensor: ones([1]), self: cyclic }))),
    ).toBe(1);
    cyclic.tensor?.dispose();
  });

  test("hands its result to the scope around, which frees it in turn", () => {
    const made = growth(() =>
      scope(() => {
        const inner = scope(() => ones([2]).add(1));
        expect(inner.isDisposed).toBe(false);
        expect(growth(() => scope(() => inner.add(1).item.name))).toBe(0);
        return inner.sum().item();
      }),
    );
    expect(made).toBe(0);
  });

  test("leaves tensors made outside alone", () => {
    const outside = ones([2]);
    scope(() => outside.add(1));
    expect(outside.isDisposed).toBe(false);
    outside.dispose();
  });

  test("does not touch a tensor that was disposed inside, nor its handle's next owner", () => {
    const kept = scope(() => {
      ones([1]).dispose();
      return keep(ones([2])); // takes over the freed handle
    });
    expect(kept.isDisposed).toBe(false);
    kept.dispose();
  });

  test("refuses a promise, and frees all the same", async () => {
    const made = growth(() =>
      expect(() =>
        scope(async () => {
          ones([3]);
          throw new Error("nobody will hear");
        }),
      ).toThrow(/synchronous function.*promise/),
    );
    expect(made).toBe(0);
    await new Promise(setImmediate); // an unhandled rejection would fail the run
  });
});

describe("keep", () => {
  test("lets tensors outlive every scope until they are disposed", () => {
    let weights: { a: Tensor; b: Tensor[] } | undefined;
    const made = growth(() =>
      scope(() =>
        scope(() => {
          weights = keep({ a: ones([1]), b: [ones([2])] });
        }),
      ),
    );
    expect(made).toBe(2);
    expect(weights?.b[0]?.toArray()).toEqual(Float32Array.from([1, 1]));
    weights?.a.dispose();
    weights?.b[0]?.dispose();
  });

  test("twice is once, and what was returned too is not freed by the scope around", () => {
    const kept = scope(() => scope(() => keep(keep(ones([1])))));
    expect(kept.isDisposed).toBe(false);
    expect(growth(() => kept.dispose())).toBe(-1);
  });
});

describe("dispose", () => {
  test("frees at once, and twice is harmless, even where the handle has a new owner", () => {
    const first = ones([1]);
    first.dispose();
    const second = ones([1]);
    expect(growth(() => first.dispose())).toBe(0);
    expect(second.item()).toBe(1);
    expect(first.isDisposed).toBe(true);
    expect(String(first)).toBe("freed tensor");
    second.dispose();
  });
});

describe("memory", () => {
  const size = 2 ** 20;

  test("what is allocated rises with a tensor and falls with its end; the peak stays", () => {
    const before = memory().allocatedBytes;
    const tensor = ones([size]);
    const during = memory();
    tensor.dispose();
    const after = memory();
    expect(during.allocatedBytes - before).toBeGreaterThanOrEqual(4 * size);
    expect(after.allocatedBytes).toBe(before);
    expect(after.peakBytes).toBeGreaterThanOrEqual(during.allocatedBytes);
    expect(after.availableBytes).toBeGreaterThan(0);
  });

  test("a view holds the whole until it dies", () => {
    const before = memory().allocatedBytes;
    const view = scope(() => ones([size]).narrow(0, 0, 1));
    expect(memory().allocatedBytes - before).toBeGreaterThanOrEqual(4 * size);
    view.dispose();
    expect(memory().allocatedBytes).toBe(before);
  });

  test("what autograd saved goes with the last tensor of the graph", () => {
    const before = memory().allocatedBytes;
    scope(() => ones([size]).requiresGrad_().exp().sum().backward());
    expect(memory().allocatedBytes).toBe(before);
  });
});

test("the garbage collector frees unscoped tensors, and memory pressure makes it run", () => {
  const { status, stderr } = runChild("collect", [], { nodeArgs: ["--expose-gc"] });
  expect(status, stderr).toBe(0);
});

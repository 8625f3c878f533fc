// Junk into every operator of the typed surface, in a process of its own: it must work or throw, never crash or hang.
// The reference is the process's end; VITOK_LONG=1 tries twenty times as much.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runChild } from "../../test/child.js";
import { operatorNames } from "./index.js";

/** Named in the sources of the typed operators, or made there from a rank, a mode or an operand's type. */
function typedOperators(): string[] {
  const sources = ["methods.ts", "ops.ts"].map((name) =>
    readFileSync(new URL(name, import.meta.url), "utf8"),
  );
  const known = new Set(operatorNames().map((name) => name.replace("aten::", "")));
  const named = [...sources.join().matchAll(/"([a-z]\w*(\.\w+)?)"/g)].map(([, name]) => name!);
  const variants = named.flatMap((name) => [name, `${name}.Tensor`, `${name}.Scalar`]);
  const made = ["bilinear", "bicubic"].flatMap((mode) => [
    `upsample_${mode}2d`,
    `_upsample_${mode}2d_aa`,
  ]);
  return [...new Set([...variants, ...made, "conv2d", "conv3d"])].filter((name) => known.has(name));
}

const others = [
  ...["_fused_adamw_", "_foreach_norm.Scalar", "_foreach_mul_.Tensor", "_foreach_lerp_.Scalar"],
  ...[
    "normal_",
    "uniform_",
    "reciprocal",
    "linalg_vector_norm",
    "as_strided",
    "set_.source_Tensor",
  ],
  ...["index_put_", "scatter_add", "embedding", "one_hot", "bincount", "randperm", "multinomial"],
  ...["resize_", "view.dtype", "_to_copy", "constant_pad_nd", "reflection_pad2d", "unfold", "roll"],
];

test("no operator crashes on junk", { timeout: 400_000 }, () => {
  const operators = [...typedOperators(), ...others];
  expect(operators.length).toBeGreaterThan(120);
  const runs = process.env.VITOK_LONG ? 1000 : 50;
  const { status, signal, stdout, stderr } = runChild(
    "fuzz",
    ["20251", String(runs), ...operators],
    {
      timeoutMs: 380_000,
    },
  );
  const last = stdout.trim().split("\n").at(-1);
  expect({ status, signal, last }, stderr.slice(-2000)).toEqual({
    status: 0,
    signal: null,
    last: "survived",
  });
});

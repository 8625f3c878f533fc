// Ours against PyTorch in Python, on this machine in this run: `npx tsx bench/anchor.ts [ROUNDS] [CASE ...]`.
// The opponent is ../shared/anchors/torch_anchor.py (python3, or VITOK_PYTHON); shapes, threads and warm-up are its own.
// Both run in turn, because a shared machine's speed drifts. A ratio above 1 means that ours is faster.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  type CaseName,
  type CaseOptions,
  createCase,
  median,
  timeRuns,
} from "../src/cli/bench-cases.js";
import { table } from "../src/cli/output.js";
import { parseVariant } from "../src/tokenizer/config.js";
import { scope, setNumThreads, Tensor } from "../src/torch/index.js";

const anchor = fileURLToPath(new URL("../../shared/anchors/torch_anchor.py", import.meta.url));
const python = process.env.VITOK_PYTHON ?? "python3";

/** Milliseconds by what was timed. */
type Times = Record<string, number>;

const pairs: Record<string, { ours(): Times; theirs(): Times }> = {
  train: {
    ours: () => ({
      train: timeCase("train", "Ti-Ti/8", { ...at(64), batch: 16, ...bf16, clips: false }),
    }),
    theirs: () => ({ train: runAnchor("train").ms! }),
  },
  infer: { ours: () => inference("float32"), theirs: () => theirInference("infer") },
  "infer-bf16": { ours: () => inference("bfloat16"), theirs: () => theirInference("infer-bf16") },
  small: { ours: () => ({ "add 2x2": timeSmall() }), theirs: () => ({ "add 2x2": theirSmall() }) },
};

const at = (side: number) => ({ input: { frames: 1, height: side, width: side }, device: "cpu" });
const bf16 = { precision: "bfloat16" } as const;

function timeCase(name: CaseName, variant: string, options: CaseOptions): number {
  const made = createCase(name, parseVariant(variant), options);
  const counts = name === "train" ? { steps: 5, warmup: 2 } : { steps: 10, warmup: 4 };
  const times = timeRuns(made.run, { device: "cpu", ...counts });
  made.dispose();
  return median(times);
}

function inference(precision: CaseOptions["precision"]): Times {
  const options = { ...at(256), batch: 1, precision };
  const suffix = precision === "bfloat16" ? " bf16" : "";
  return {
    [`encode${suffix}`]: timeCase("encode", "S-B/16", options),
    [`decode${suffix}`]: timeCase("decode", "S-B/16", options),
  };
}

interface AnchorLine {
  readonly threads?: number;
  readonly ms?: number;
  readonly encode_img_s?: number;
  readonly decode_img_s?: number;
}

function runAnchor(name: string): AnchorLine {
  const text = execFileSync(python, [anchor, "cpu", name], { encoding: "utf8" });
  const lines = text.trim().split("\n");
  return JSON.parse(lines.at(-1)!) as AnchorLine;
}

function theirInference(name: string): Times {
  const suffix = name === "infer" ? "" : " bf16";
  const { encode_img_s: encode, decode_img_s: decode } = runAnchor(name);
  return { [`encode${suffix}`]: 1000 / encode!, [`decode${suffix}`]: 1000 / decode! };
}

const smallCalls = 100_000;

/** One call of the smallest operator: what the way through JavaScript costs. */
function timeSmall(): number {
  const [a, b] = [Tensor.from([1, 2, 3, 4], [2, 2]), Tensor.from([5, 6, 7, 8], [2, 2])];
  const run = () => {
    for (let i = 0; i < smallCalls / 100; i++)
      scope(() => {
        for (let k = 0; k < 100; k++) a.add(b);
      });
  };
  const times = timeRuns(run, { device: "cpu", steps: 5, warmup: 2 });
  return median(times) / smallCalls;
}

function theirSmall(): number {
  const program = `
import torch, time
a, b = torch.rand(2, 2), torch.rand(2, 2)
def run():
    for _ in range(${smallCalls}): torch.add(a, b)
times = []
for _ in range(7):
    t = time.perf_counter(); run(); times.append(time.perf_counter() - t)
print(sorted(times[2:])[2] * 1e3 / ${smallCalls})`;
  return Number(execFileSync(python, ["-c", program], { encoding: "utf8" }));
}

function main([rounds = "3", ...names]: string[]): void {
  const threads = Number(
    execFileSync(python, ["-c", "import torch; print(torch.get_num_threads())"], {
      encoding: "utf8",
    }),
  );
  setNumThreads(threads);
  console.log(`${threads} threads, ${rounds} rounds, medians in ms`);
  const results: Record<"ours" | "theirs", Times[]> = { ours: [], theirs: [] };
  for (const name of names.length ? names : Object.keys(pairs)) {
    const pair = pairs[name];
    if (!pair) throw new Error(`Expected ${Object.keys(pairs).join(", ")}, received ${name}.`);
    for (let round = 0; round < Number(rounds); round++) {
      results.theirs.push(pair.theirs());
      results.ours.push(pair.ours());
    }
  }
  console.log(table(compare(results)));
}

function compare(results: Record<"ours" | "theirs", Times[]>) {
  const names = [...new Set(results.ours.flatMap((times) => Object.keys(times)))];
  return names.map((name) => {
    const of = (side: "ours" | "theirs") =>
      results[side].flatMap((times) => times[name] ?? []).toSorted((a, b) => a - b);
    const [ours, theirs] = [of("ours"), of("theirs")];
    const spread = (times: number[]) => times.map(milliseconds).join(" ");
    return {
      case: name,
      ours: milliseconds(median(ours)),
      theirs: milliseconds(median(theirs)),
      ratio: (median(theirs) / median(ours)).toFixed(2),
      "ours, all": spread(ours),
      "theirs, all": spread(theirs),
    };
  });
}

const milliseconds = (ms: number) => ms.toPrecision(4);

main(process.argv.slice(2));

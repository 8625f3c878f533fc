// Each CUDA kernel against its plain twin, and its share of the memory bandwidth: `kernels.mjs CASE`, one process a case, so
// that one that fails stops no other; without a case, their names. JSON lines. The checks are in kernels/.
import { attentionCase } from "./kernels/attention.mjs";
import { boxes } from "./kernels/boxes.mjs";
import { bytes } from "./kernels/bytes.mjs";
import { gaussian } from "./kernels/gaussian.mjs";
import { dist, failures, say } from "./kernels/harness.mjs";
import { rotateSplitCase } from "./kernels/heads.mjs";
import { inceptionCase } from "./kernels/inception.mjs";
import { adamw, graph } from "./kernels/optimizer.mjs";
import { lpips, unitDistance } from "./kernels/perceptual.mjs";
import { quantise } from "./kernels/quantise.mjs";
import { similarityCase } from "./kernels/similarity.mjs";
import {
  addNormCase,
  copy,
  gatedSiluCase,
  inference,
  modulateCase,
  tower,
} from "./kernels/transformer.mjs";

const cases = {
  copy,
  "add-norm": addNormCase,
  "gated-silu": gatedSiluCase,
  modulate: modulateCase,
  "rotate-split": rotateSplitCase,
  attention: attentionCase,
  "unit-distance": unitDistance,
  boxes,
  bytes,
  gaussian,
  quantise,
  lpips,
  similarity: similarityCase,
  inception: inceptionCase,
  adamw,
  graph,
  inference,
  tower,
};

const name = process.argv[2];
if (!name) console.log(Object.keys(cases).join("\n"));
else {
  const { setFlag } = await dist("torch/index");
  (await dist("nn/fused/choose")).setFused(true);
  setFlag("tf32", false);
  setFlag("cudnnBenchmark", true);
  try {
    await cases[name]();
  } catch (error) {
    say({ check: name, ok: false, error: String(error?.stack ?? error).slice(0, 1500) });
    process.exitCode = 1;
  }
  if (failures()) process.exitCode = 1;
}

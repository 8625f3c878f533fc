// CUDA against the CPU, through the installed package: outputs, gradients, a training step, errors. Exit 1 if any fails.
import {
  AdamW,
  autocast,
  call,
  devices,
  liveTensors,
  memory,
  noGrad,
  parameters,
  randn,
  scope,
  setFlag,
  Tensor,
  Tokenizer,
} from "vitok";

let failed = 0;
function check(name, value, limit) {
  const ok = value <= limit;
  if (!ok) failed++;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${value.toExponential(2)} (limit ${limit})`);
}
const relative = (a, b) =>
  scope(() => {
    const [x, y] = [a, b].map((tensor) => tensor.detach().to({ device: "cpu", dtype: "float64" }));
    return x.sub(y).square().sum().sqrt().item() / Math.max(y.square().sum().sqrt().item(), 1e-12);
  });

console.log("devices", devices().join(" "), "torch", process.versions.node);
if (!devices().includes("cuda:0")) throw new Error("Expected a GPU, found none.");
setFlag("tf32", false);

for (const [variant, shape] of [
  ["Ti-Ti/8", [2, 3, 1, 64, 64]],
  ["S-B/16", [2, 3, 1, 256, 256]],
  ["Ti-Ti/4x8", [1, 3, 8, 64, 64]],
]) {
  const pixels = randn(shape).clamp(-1, 1);
  const cpu = Tokenizer.create(variant, { seed: 1 });
  const gpu = Tokenizer.create(variant, { seed: 1, device: "cuda:0" });
  const step = (model, x, dtype) => {
    for (const [, tensor] of parameters(model)) tensor.grad = null;
    const device = x.device === "cpu" ? "cpu" : "cuda";
    const [recon, loss] = autocast({ device, dtype }, () => {
      const posterior = model.encode(x);
      const recon = model.decode(posterior.mode(), posterior.grid);
      return [
        recon,
        recon.to({ dtype: "float32" }).sub(x).square().mean().add(posterior.kl().mul(1e-3)),
      ];
    });
    loss.backward();
    return {
      recon,
      loss,
      gradients: Object.fromEntries(
        [...parameters(model)].map(([name, tensor]) => [name, tensor.grad]),
      ),
    };
  };
  const expected = step(cpu, pixels, "float32");
  for (const [dtype, limit, gradientLimit] of [
    ["float32", 1e-4, 1e-3],
    ["bfloat16", 3e-2, 1e-1],
  ]) {
    const actual = step(gpu, pixels.to({ device: "cuda:0" }), dtype);
    check(`${variant} ${dtype} reconstruction`, relative(actual.recon, expected.recon), limit);
    check(
      `${variant} ${dtype} loss`,
      Math.abs(actual.loss.item() / expected.loss.item() - 1),
      limit,
    );
    const names = Object.keys(expected.gradients).filter(
      (name) => name.endsWith("weight") && !name.includes("norm"),
    );
    const worst = Math.max(
      ...names.map((name) => relative(actual.gradients[name], expected.gradients[name])),
    );
    check(`${variant} ${dtype} worst weight gradient`, worst, gradientLimit);
  }
  const low = Tokenizer.create(variant, { seed: 1, device: "cuda:0", dtype: "bfloat16" });
  const recon = noGrad(() => low.reconstruct(pixels.to({ device: "cuda:0" })));
  check(
    `${variant} bfloat16 weights`,
    relative(
      recon,
      noGrad(() => cpu.reconstruct(pixels)),
    ),
    3e-2,
  );
}

const before = liveTensors();
const model = Tokenizer.create("Ti-Ti/8", { device: "cuda:0" });
const optimizer = new AdamW(parameters(model));
const batch = randn([8, 3, 1, 64, 64], { device: "cuda:0" });
const losses = [];
for (let i = 0; i < 50; i++)
  losses.push(
    scope(() => {
      optimizer.zeroGrad();
      const posterior = model.encode(batch);
      const loss = model.decode(posterior.mode(), posterior.grid).sub(batch).square().mean();
      loss.backward();
      optimizer.step(1e-3);
      return loss.item();
    }),
  );
check("a training step lowers the loss on CUDA (last over first)", losses.at(-1) / losses[0], 0.9);
console.log("live tensors", liveTensors() - before, "memory", JSON.stringify(memory("cuda:0")));

for (const [name, fn] of [
  ["too large a request", () => randn([1 << 20, 1 << 20], { device: "cuda:0" })],
  ["mixed devices", () => Tensor.from([1]).add(Tensor.from([1, 2], [2], { device: "cuda:0" }))],
  ["no such device", () => Tensor.from([1], [1], { device: "cuda:7" })],
  [
    "wrong shapes",
    () => randn([2, 3], { device: "cuda:0" }).matmul(randn([2, 3], { device: "cuda:0" })),
  ],
])
  try {
    fn();
    failed++;
    console.log(`FAIL ${name}: no error`);
  } catch (error) {
    console.log(`ok   ${name}: ${error.message.slice(0, 160)}`);
  }
check(
  "the GPU still answers after the errors",
  Math.abs(call("sum", randn([10], { device: "cuda:0" }).mul(0)).item()),
  0,
);
process.exitCode = failed ? 1 : 0;

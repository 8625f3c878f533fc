// LPIPS by fused passes against plain operators, and its own kernel against the formula.
import {
  asLeaf,
  bandwidth,
  device,
  dist,
  isEmulated,
  leaf,
  relative,
  shapes,
  verdict,
} from "./harness.mjs";

const { setFused } = await dist("nn/fused/choose");
const { Lpips } = await dist("perceptual/lpips");
const torch = await dist("torch/index");
const { call, noGrad, rand, randn, scope } = torch;

export function lpips() {
  const random = (shape, scale) => randn(shape).mul(scale);
  const stages = [
    [64, 64],
    [128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [512, 512, 512],
  ];
  const trunk = {};
  let [layer, inputs] = [0, 3];
  for (const outputs of stages) {
    for (const output of outputs) {
      trunk[`features.${layer}.weight`] = random(
        [output, inputs, 3, 3],
        Math.sqrt(2 / (9 * inputs)),
      );
      trunk[`features.${layer}.bias`] = random([output], 0.1);
      [layer, inputs] = [layer + 2, output];
    }
    layer++;
  }
  const heads = Object.fromEntries(
    stages.map((outputs, i) => [`lin${i}.model.1.weight`, rand([1, outputs.at(-1), 1, 1])]),
  );
  const low = new Lpips(trunk, heads, { device, dtype: "bfloat16" });
  const exact = new Lpips(trunk, heads, { device, dtype: "float32" });
  for (const shape of [
    [2, 3, 64, 64],
    [3, 3, 50, 70],
    [2, 3, 17, 16],
    [4, 3, 256, 256],
  ]) {
    const recon0 = leaf(shape, "float32");
    const target = recon0.add(randn(shape, { device }).mul(0.3));
    const run = (lpips, fused) => {
      setFused(fused);
      const recon = asLeaf(recon0, "float32");
      const distance = lpips.forward(recon, target);
      distance.sum().backward();
      return { distance, gradient: recon.grad };
    };
    scope(() => {
      const [fused, plain, reference] = [run(low, true), run(low, false), run(exact, false)];
      // Thirteen bfloat16 convolutions: the plain path's own distance from float32 is the measure.
      for (const key of ["distance", "gradient"]) {
        const [a, b] = [relative(fused[key], reference[key]), relative(plain[key], reference[key])];
        verdict(
          `lpips ${shape} ${key}: fused, beside plain's ${b.toExponential(2)}`,
          { fused: a },
          Math.max(1.5 * b, 5e-3),
        );
      }
    });
  }
}

export function unitDistance() {
  // Exactly, in float32, through the plan itself: the twin is the formula with max_pool2d behind a ReLU.
  return dist("perceptual/fused-vgg16").then(({ distancePlan, toChannelsLast }) => {
    for (const dtype of ["float32", "bfloat16"])
      for (const [b, c, h, w] of shapes([
        [2, 64, 7, 10],
        [1, 512, 4, 5],
        [3, 256, 8, 5],
        [1, 128, 7, 9],
        [2, 64, 64, 64],
      ]))
        for (const pools of [true, false])
          scope(() => {
            const x0 = toChannelsLast(leaf([b, c, h, w], dtype).relu());
            const y = toChannelsLast(leaf([b, c, h, w], dtype).relu());
            const head = rand([c], { device });
            const weights = randn([b], { device });
            const x = x0.detach().clone().requiresGrad_();
            const [parts, smallX, smallY] = distancePlan(x, pools).run(x, y, head);
            const distance = parts.sum([1]);
            const gradSmall = pools && toChannelsLast(leaf(smallX.shape, dtype));
            let total = distance.mul(weights).sum();
            if (pools)
              total = total.add(
                smallX
                  .to({ dtype: "float32" })
                  .mul(gradSmall.to({ dtype: "float32" }))
                  .sum(),
              );
            total.backward();
            // twin, before the ReLU, so that its mask is in the gradient
            const z = x0.detach().to({ dtype: "float32" }).clone().requiresGrad_();
            const r = z.relu();
            const unit = (t) => {
              const e = t.square().sum([1], true);
              return t.div(
                call("masked_fill.Scalar", e, e.eq(0), Number.POSITIVE_INFINITY).sqrt().add(1e-10),
              );
            };
            const twin = unit(r)
              .sub(unit(y.to({ dtype: "float32" })))
              .square()
              .mul(head.reshape([1, c, 1, 1]))
              .sum([1])
              .mean([1, 2]);
            let other = twin.mul(weights).sum();
            if (pools) {
              const pooled = torch.maxPool2d(r, { kernel: 2 });
              other = other.add(pooled.mul(gradSmall.to({ dtype: "float32" })).sum());
            }
            other.backward();
            verdict(
              `unit-distance ${[b, c, h, w]} ${pools ? "pooled" : "last"} ${dtype}`,
              {
                distance: relative(distance, twin),
                gradient: relative(x.grad, z.grad),
                ...(pools
                  ? {
                      small: relative(
                        smallX,
                        torch.maxPool2d(x0.to({ dtype: "float32" }), { kernel: 2 }),
                      ),
                      smallY: relative(
                        smallY,
                        torch.maxPool2d(y.to({ dtype: "float32" }), { kernel: 2 }),
                      ),
                    }
                  : {}),
              },
              dtype === "float32" ? 1e-4 : 1e-2,
            );
          });
    if (isEmulated) return;
    for (const [c, side] of [
      [64, 256],
      [256, 64],
      [512, 16],
    ])
      scope(() => {
        const make = () => toChannelsLast(leaf([64, c, side, side], "bfloat16").relu());
        const [x, y, head] = [make().requiresGrad_(), make(), rand([c], { device })];
        const plan = distancePlan(x, true);
        const made = plan.run(x, y, head);
        const grads = [
          randn(made[0].shape, { device }),
          toChannelsLast(leaf(made[1].shape, "bfloat16")),
        ];
        const bytes = x.byteLength;
        bandwidth(
          `unit-distance forward ${c}`,
          2.5 * bytes,
          () => noGrad(() => plan.run(x, y, head)),
          { repeats: 4 },
        );
        bandwidth(
          `unit-distance backward ${c}`,
          3.25 * bytes,
          () => torch.grad(made.slice(0, 2), [x], { gradOutputs: grads, retainGraph: true }),
          { repeats: 4, asGraph: false },
        );
      });
  });
}

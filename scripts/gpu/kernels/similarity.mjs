// Structural similarity in one pass against the twin's float64 maps, 1e-10 relative: both borders, odd sizes, both factors.
import { bandwidth, device, dist, isEmulated, relative, shapes, verdict } from "./harness.mjs";

const { similarity } = await dist("metrics/ssim");
const { setFused } = await dist("nn/fused/choose");
const { rand, randn, scope } = await dist("torch/index");

/** Bytes, and a second picture near the first. */
function pair(shape) {
  const real = rand(shape, { device }).mul(255).round();
  return [real, real.add(randn(shape, { device }).mul(20)).clamp(0, 255).round()];
}

export function similarityCase() {
  for (const shape of shapes(
    [
      [2, 3, 19, 41],
      [1, 3, 11, 11],
      [1, 1, 33, 12],
      [5, 3, 256, 256],
      [2, 3, 720, 1280],
    ],
    3,
  ))
    for (const border of ["reflect", "valid"])
      scope(() => {
        const [real, fake] = pair(shape);
        const [kernel, twin] = [true, false].map((on) => {
          setFused(on);
          return similarity(real, fake, border);
        });
        setFused(true);
        const { whole, structure } = kernel;
        const errors = {
          whole: relative(whole, twin.whole),
          structure: relative(structure, twin.structure),
        };
        verdict(`similarity ${shape.join("x")} ${border}`, errors, 1e-10);
      });
  if (isEmulated) return;
  const [real, fake] = pair([64, 3, 256, 256]);
  for (const isOn of [true, false]) {
    setFused(isOn);
    const run = () => similarity(real, fake, "reflect").whole;
    bandwidth(`similarity${isOn ? "" : ", twin"}`, 8 * real.numel, run, { asGraph: false });
  }
  setFused(true);
}

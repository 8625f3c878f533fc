// Inception by each way that a GPU can take, at every tap: against plain float32, 1e-4 relative, and 1e-2 for TensorFloat-32.
// And the milliseconds of a batch of 64.
import { device, dist, isEmulated, relative, say, verdict } from "./harness.mjs";

const { Inception2015 } = await dist("perceptual/inception-2015");
const { inceptionSteps } = await dist("perceptual/inception-layers");
const { expectedLayers } = await dist("perceptual/inception-weights");
const { inceptionInputs } = await dist("perceptual/inception-input");
const { setFused } = await dist("nn/fused/choose");
const { rand, randn, scope, synchronize } = await dist("torch/index");

const taps = isEmulated ? ["64", "2048"] : ["64", "192", "768", "2048", "logits"];
const onGpu = [["plain"], ["rows"], ["planes"], ["plain", true], ["rows", true]];
const ways = isEmulated ? onGpu.slice(0, 3) : onGpu;

/** He's bound, so that activations keep their size. */
function randomWeights() {
  const weight = (shape) => {
    const fanIn = shape.slice(1).reduce((product, length) => product * length, 1);
    return randn(shape).mul(Math.sqrt(2 / fanIn));
  };
  const layers = [...expectedLayers(inceptionSteps({ lastPool: "max" }))];
  const folded = layers
    .filter((layer) => typeof layer !== "string")
    .flatMap(({ name, shape }) => [
      [`${name}.weight`, weight(shape)],
      [`${name}.bias`, randn([shape[0]]).mul(0.1)],
    ]);
  return { ...Object.fromEntries(folded), "fc.weight": weight([1008, 2048]) };
}

/** The resize of TensorFlow 1, smaller and larger, in one pass against libtorch's operators. */
function inputCase() {
  for (const [height, width] of [
    [80, 96],
    [311, 257],
  ])
    scope(() => {
      const pictures = rand([2, 3, height, width], { device }).mul(255).round();
      const [kernel, twin] = [true, false].map((on) => {
        setFused(on);
        return inceptionInputs.tensorflow.prepare(pictures);
      });
      setFused(true);
      verdict(`inception's input from ${height}x${width}`, { out: relative(kernel, twin) }, 1e-6);
    });
}

export function inceptionCase() {
  inputCase();
  scope(() => {
    const weights = randomWeights();
    const few = rand([isEmulated ? 1 : 4, 3, 80, 96], { device })
      .mul(255)
      .round();
    const many = !isEmulated && rand([64, 3, 256, 256], { device }).mul(255).round();
    let expected;
    for (const [way, tf32 = false] of ways) {
      const network = new Inception2015(weights, { device, way, tf32 });
      const made = network.forward(few, taps);
      expected ??= made;
      const errors = taps.map((tap) => [tap, relative(made[tap], expected[tap])]);
      const name = `inception, ${way}${tf32 ? ", tf32" : ""}`;
      verdict(name, Object.fromEntries(errors), tf32 ? 1e-2 : 1e-4);
      if (many) say({ speed: name, ms: milliseconds(network, many) });
      network.dispose();
    }
  });
}

/** Of a forward pass to the logits, the median of five. */
function milliseconds(network, pictures) {
  const run = () => scope(() => void network.forward(pictures, ["2048", "logits"]));
  run();
  const times = Array.from({ length: 5 }, () => {
    synchronize(device);
    const started = performance.now();
    run();
    synchronize(device);
    return performance.now() - started;
  });
  return +times.sort((a, b) => a - b)[2].toFixed(3);
}

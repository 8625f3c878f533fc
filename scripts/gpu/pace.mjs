// One of the processes that two-gpus.mjs times, in torchrun's environment: milliseconds of a step by each way of averaging its
// gradients, in every process, with a batch that stays: no data, no log. One way after the other, because a recorded step holds
// much of a GPU's memory. Argument: { dist, recipe, samples, count, seconds, ways } as JSON. The first process prints a JSON line a
// way, and begins none after so many seconds.
const { dist, recipe, samples, count, seconds, ways } = JSON.parse(process.argv[2]);
const load = (path) => import(`${dist}/${path}.js`);
const [{ withTeam }, { Stage1 }, { parseTrainConfig }, { parameters }, torch] = await Promise.all(
  ["train/data-parallel", "train/stage1", "train/config", "nn/parameters", "torch/index"].map(load),
);

await withTeam({ device: recipe.device, resumeCommand: "none" }, async (team) => {
  const { device } = team;
  if (device !== "cpu") for (const flag of ["tf32", "cudnnBenchmark"]) torch.setFlag(flag, true);
  const config = parseTrainConfig({
    ...recipe,
    train: { ...recipe.train, batchSize: samples * team.size },
  });
  const say = (line) => team.isFirst && console.log(JSON.stringify(line));
  for (const [way, { isAlone, ...options }] of Object.entries(ways)) {
    if (team.any(performance.now() > 1000 * seconds)) break; // since the process began
    torch.resetPeakMemory(device);
    const own = { ...config, train: { ...config.train, ...options } };
    const stage = new Stage1(own, device, isAlone ? undefined : team);
    const ms = timeSteps(stage, team);
    const memoryMib = Math.round(torch.memory(device).peakBytes / 2 ** 20);
    say({ way, ms: team.gather(ms), memory_mib: memoryMib });
    if (isAlone) say({ wire: timeWire(stage, team) });
    stage.dispose();
    torch.emptyCache(device);
  }
});

/** The same bytes for every sample, way and process. */
function drawSamples(length) {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7919) >> 3;
  return bytes;
}

/** The median of three spans of steps, each as a run makes them: a step is read when the next one is under way. */
function timeSteps(stage, team) {
  const { size } = recipe.data;
  const bytes = drawSamples(samples * size * size * 3);
  const indices = Array.from({ length: samples }, (_, i) => team.rank * samples + i);
  const still = { bytes, shape: [samples, 1, size, size, 3], indices };
  let last;
  let step = 0;
  const run = (steps) => {
    for (let i = 0; i < steps; i++, step++) {
      const before = last;
      last = stage.start?.(still, step);
      if (!last) stage.step(still, step);
      before?.();
    }
    last?.();
    last = undefined;
  };
  return timed(team, 6, count, run); // kernels are compiled, the step is recorded
}

/** Averaging as many bytes as the gradients have, in one tensor, and nothing else. */
function timeWire(stage, team) {
  const numbers = [...parameters(stage.model)].reduce((sum, [, { numel }]) => sum + numel, 0);
  const dtype = team.device === "cpu" ? "float32" : recipe.train.precision;
  return torch.scope(() => {
    const flat = torch.zeros([numbers], { device: team.device, dtype });
    const run = (times) => {
      for (let i = 0; i < times; i++) team.group.allReduce_(flat, "avg");
    };
    return { mib: Math.round(flat.byteLength / 2 ** 20), ms: timed(team, 3, 10, run) };
  });
}

function timed(team, warmups, times, run) {
  const wait = () => torch.synchronize(team.device);
  run(warmups);
  const spans = [1, 2, 3].map(() => {
    wait();
    team.group?.barrier();
    const started = performance.now();
    run(times);
    wait();
    return (performance.now() - started) / times;
  });
  return +spans.toSorted((a, b) => a - b)[1].toFixed(3);
}

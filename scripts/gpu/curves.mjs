// One of the processes whose losses two-gpus.mjs compares, in torchrun's environment: the same batches in the same order, by the
// first process alone, by the last one alone in two parts, then by all together, each with all of the optimizer or its share.
// Argument: { dist, recipe } as JSON. The first process prints a JSON line a curve.
const { dist, recipe } = JSON.parse(process.argv[2]);
const load = (path) => import(`${dist}/${path}.js`);
const [{ withTeam }, { Stage1 }, { parseTrainConfig }, setup, torch] = await Promise.all(
  ["train/data-parallel", "train/stage1", "train/config", "train/run-setup", "torch/index"].map(
    load,
  ),
);

await withTeam({ device: recipe.device, resumeCommand: "none" }, async (team) => {
  const configure = (own) => parseTrainConfig({ ...recipe, train: { ...recipe.train, ...own } });
  const say = (name, losses, started) =>
    team.isFirst && console.log(JSON.stringify({ name, seconds: secondsSince(started), losses }));
  const started = performance.now();
  const parts = team.rank > 0 && team.rank === team.size - 1;
  const isIdle = !parts && !team.isFirst;
  const own = isIdle ? [] : await curve(configure(parts ? { accumulate: 2 } : {}), team.device);
  const curves = team.gather(own);
  say("one process", curves[0], started);
  if (team.size > 1) say("one process, in two parts", curves.at(-1), started);
  for (const [name, more] of [
    [`${team.size} processes`, {}],
    [`${team.size} processes, ZeRO-1`, { shardOptimizer: true }],
  ]) {
    const begun = performance.now();
    say(name, await curve(configure(more), team.device, team), begun);
  }
});

function secondsSince(started) {
  return +((performance.now() - started) / 1000).toFixed(1);
}

/** The losses of all steps, as training makes them: a step is read when the next one is under way. */
async function curve(config, device, team) {
  setup.setEngine(config, device);
  const place = { rank: 0, size: 1, ...team, device };
  const sources = await setup.openSources(config);
  const loader = setup.openLoader(config, sources, { startSample: 0, place });
  const stage = new Stage1(config, device, team);
  const losses = [];
  let last;
  for (let step = 0; step < config.train.steps; step++) {
    const batch = await loader.next();
    const before = last;
    last = stage.start?.(batch, step);
    if (before) losses.push(before().loss);
    if (!last) losses.push(stage.step(batch, step).loss);
  }
  if (last) losses.push(last().loss);
  loader.close();
  stage.dispose();
  torch.emptyCache(device);
  return losses;
}

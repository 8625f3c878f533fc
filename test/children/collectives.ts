// One of the processes of src/torch/distributed.test.ts: every collective, the reducer, and what happens when one is gone.
// Prints JSON objects, one a line.
import {
  keep,
  liveTensors,
  ProcessGroup,
  Reducer,
  scope,
  setNumThreads,
  Tensor,
  TorchError,
  zeros,
} from "../../src/torch/index.js";

setNumThreads(1);
const [rank, size] = [Number(process.env.RANK), Number(process.env.WORLD_SIZE)];
const group = new ProcessGroup({
  ...{ rank, size, host: "127.0.0.1", port: Number(process.env.MASTER_PORT) },
  interface: "127.0.0.1",
  timeoutMs: 90_000,
});
const numbers = (tensor: Tensor | null) => tensor && [...tensor.toArray()].map(Number);

function averagesOfMany() {
  const tensors = [[rank, 2], [[4 * rank]]].map((values) => Tensor.from(values.flat()));
  group.allReduceAll_(tensors, "avg");
  return tensors.map(numbers);
}

const collectives = scope(() => ({
  sum: numbers(group.allReduce_(Tensor.from([rank + 1, 2]))),
  avg: numbers(group.allReduce_(Tensor.from([rank, 2]), "avg")),
  max: numbers(group.allReduce_(Tensor.from([rank, -rank]), "max")),
  broadcast: numbers(group.broadcast_(Tensor.from([rank, 7]), 1)),
  allGather: numbers(group.allGather(Tensor.from([[rank, 7]].flat(), [1, 2]))),
  reduceScatter: numbers(group.reduceScatter(Tensor.from([1, 2, 3, 4 + rank]))),
  averageScatter: numbers(group.averageScatter_(Tensor.from([2, 4, 6, 8 + 2 * rank]))),
  all: averagesOfMany(),
  shape: group.allGather(Tensor.from([1, 2], [1, 2])).shape,
}));

/** Two under way at once, waited for in the other order. */
const atOnce = scope(() => {
  const works = [[rank], [10 * rank]].map((values) => group.startAllReduce_(Tensor.from(values)));
  return works.reverse().map((work) => numbers(work.wait()));
});

/** y = (rank + 1) sum(w) + rank sum(v v): with one micro-batch, with two, with v used in two backward passes. */
function gradients(isScattered: boolean, mode: "once" | "accumulated" | "segments") {
  const w = keep(Tensor.from([1, 2, 3])).requiresGrad_();
  const v = keep(Tensor.from([1, 2, 3, 4], [2, 2])).requiresGrad_();
  const unused = keep(Tensor.from([1])).requiresGrad_();
  const flats = keep([zeros([4]), zeros([4])]) as [Tensor, Tensor];
  const buckets = [
    { flat: flats[0], leaves: [v] },
    { flat: flats[1], leaves: [w, unused] },
  ];
  const reducer = new Reducer(group, buckets, { isScattered });
  const linear = () => w.mul(rank + 1).sum();
  const square = () => v.mul(v).sum().mul(rank);
  const steps = Array.from({ length: 3 }, (_, step) =>
    scope(() => {
      for (const leaf of [w, v, unused]) leaf.grad = null;
      if (mode === "accumulated") linear().add(square()).backward();
      reducer.arm();
      linear().add(square()).backward();
      // From the second step on, a gradient grows again after its bucket was sent.
      if (mode === "segments" && step > 0) square().backward();
      reducer.finish();
      const own = flats.map((flat) => flat.narrow(0, 2 * rank, 2));
      return isScattered
        ? own.map(numbers)
        : { w: numbers(w.grad), v: numbers(v.grad), unused: numbers(unused.grad) };
    }),
  );
  reducer.dispose();
  for (const tensor of [w, v, unused, ...flats]) {
    tensor.grad = null;
    tensor.dispose();
  }
  return steps;
}
const reduced = {
  once: gradients(false, "once"),
  accumulated: gradients(false, "accumulated"),
  segments: gradients(false, "segments"),
  scattered: gradients(true, "once"),
};

console.log(JSON.stringify({ collectives, atOnce, reduced, live: liveTensors() }));
group.barrier();
let lost = "";
if (rank === 1) process.kill(process.pid, "SIGKILL");
try {
  scope(() => group.allReduce_(Tensor.from([1])));
} catch (error) {
  lost = error instanceof TorchError ? error.message : String(error);
}
group.dispose();
console.log(JSON.stringify({ lost }));

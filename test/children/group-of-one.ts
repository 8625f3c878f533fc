// A group of a single process: every collective gives back what went in, and leaving it ends its threads.
import assert from "node:assert";
import { liveTensors, ProcessGroup, scope, Tensor } from "../../src/torch/index.js";

const group = new ProcessGroup({
  ...{ rank: 0, size: 1, host: "127.0.0.1", port: Number(process.argv[2]) },
  interface: "127.0.0.1",
});
scope(() => {
  const same = (tensor: Tensor) => assert.deepEqual([...tensor.toArray()], [1, 2]);
  same(group.allReduce_(Tensor.from([1, 2]), "avg"));
  same(group.allGather(Tensor.from([1, 2])));
  same(group.reduceScatter(Tensor.from([1, 2])));
  same(group.broadcast_(Tensor.from([1, 2])));
});
group.barrier();
group.dispose();
assert.throws(() => scope(() => group.allReduce_(Tensor.from([1]))), /all_reduce_/);
assert.equal(liveTensors(), 0);

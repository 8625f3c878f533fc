// Reads training batches of a set for test/shard-resume.test.ts: a JSON line for each, as it comes. Arguments: the set, the
// first sample, the number of batches.
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { Loader } from "../../src/data/loader.js";
import { openSource } from "../../src/data/source.js";

const [spec = "", startSample = "0", count = "0"] = process.argv.slice(2);
const loader = new Loader(await openSource(spec), {
  ...{ batchSize: 4, size: 8, seed: 5, augment: true, shuffleBuffer: 8, cacheMiB: 0 },
  startSample: Number(startSample),
});
for (let step = 0; step < Number(count); step++) {
  const { files, bytes } = (await loader.next())!;
  const hash = createHash("sha256").update(bytes).digest("hex");
  writeSync(1, `${JSON.stringify({ next: loader.sample, files, hash })}\n`);
}
loader.close();

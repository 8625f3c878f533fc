// Pictures decoded, cropped and batched per second for training, against torchvision's DataLoader with as many workers as
// there are cores: `npx tsx bench/decode.ts [FOLDER] [SIZE] [ROUNDS]`. Needs a Python with torchvision (python3, or
// VITOK_PYTHON). Both run in turn on the same files, because a shared machine's speed drifts: only the ratio counts.

import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const [folder = here("../../shared/data/photos"), size = "224", rounds = "3"] =
  process.argv.slice(2);
const cores = availableParallelism();
const python = process.env.VITOK_PYTHON ?? "python3";

/** The loader as training uses it: random resized crop of 0.8 to 1, antialiased bicubic, flip, batches of bytes. */
const ours = `
import { Loader } from ${JSON.stringify(here("../src/data/loader.ts"))};
import { openSource } from ${JSON.stringify(here("../src/data/source.ts"))};
const source = await openSource(${JSON.stringify(folder)});
const loader = new Loader(source, { batchSize: 32, size: ${size}, augment: true, cacheMiB: 0, prefetch: 4, concurrency: ${4 * cores} });
await loader.next();
const from = loader.sample, started = performance.now();
while (loader.sample - from < source.length) await loader.next();
console.log((loader.sample - from) / (performance.now() - started) * 1000);
loader.close();
`;

/** The same work as most training code has it: Pillow, RandomResizedCrop, flip, uint8 batches. */
const theirs = `
import sys, time, glob, os, torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from PIL import Image
files = [f for f in sorted(glob.glob(os.path.join(sys.argv[1], "**", "*"), recursive=True)) if os.path.isfile(f)]
class Files(Dataset):
    crop = T.Compose([T.RandomResizedCrop(int(sys.argv[2]), scale=(0.8, 1.0), interpolation=T.InterpolationMode.BICUBIC), T.RandomHorizontalFlip(), T.PILToTensor()])
    def __len__(self): return 2 * len(files)
    def __getitem__(self, i): return self.crop(Image.open(files[i % len(files)]).convert("RGB"))
batches = iter(DataLoader(Files(), batch_size=32, shuffle=True, num_workers=int(sys.argv[3]), prefetch_factor=4))
next(batches)
started, count = time.perf_counter(), 0
while count < len(files): count += next(batches).shape[0]
print(count / (time.perf_counter() - started))
os._exit(0)
`;

const run = (command: string, args: string[]): number =>
  Number(
    execFileSync(command, args, {
      encoding: "utf8",
      env: { ...process.env, UV_THREADPOOL_SIZE: String(cores), OMP_NUM_THREADS: "1" },
      cwd: here(".."),
    }),
  );
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

const rates = { ours: [] as number[], theirs: [] as number[] };
for (let round = 0; round < Number(rounds); round++) {
  rates.ours.push(run(process.execPath, ["--import", "tsx", "--input-type=module", "-e", ours]));
  rates.theirs.push(run(python, ["-c", theirs, folder, size, String(cores)]));
}
const [mine, other] = [median(rates.ours), median(rates.theirs)];
console.log(`${folder}, crop ${size}, ${cores} cores, median of ${rounds} rounds in turn`);
console.log(`ours        ${mine.toFixed(0)} pictures/s`);
console.log(`torchvision ${other.toFixed(0)} pictures/s`);
console.log(`ratio       ${(mine / other).toFixed(2)}`);

// The set-up's decisions (scripts/setup/) on made-up folders: what is stale, what is fetched, what is refused. Nothing is
// installed and no network is used. The steps themselves are checked by every run of `npm test` on a clean clone.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

// By address: the scripts are plain JavaScript, outside of what TypeScript checks here.
const load = (name: string) =>
  import(new URL(`../scripts/setup/${name}.mjs`, import.meta.url).href);
const { packagesMatch } = await load("clone");
const { cudaRequirements } = await load("fetch");
const { inputStamp, readEngine } = await load("addon");
const { libtorchPlace, readLibtorch } = await load("libtorch");
const { withLock } = await load("lock");

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vitok-setup-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function write(name: string, content: unknown): void {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
}

function writeLibtorch(version: [number, number, number]): void {
  for (const name of ["lib/libtorch_cpu.so", "lib/libtorch_cpu.dylib", "include/ATen/ATen.h"])
    write(name, "");
  const lines = ["MAJOR", "MINOR", "PATCH"].map(
    (part, i) => `#define TORCH_VERSION_${part} ${version[i]}`,
  );
  write("include/torch/headeronly/version.h", lines.join("\n"));
}

const locked = (version: string, flags = {}) => ({ "node_modules/a": { version, ...flags } });

test("packages are installed where npm's record differs from the lock file", () => {
  write("package-lock.json", { packages: locked("1.0.0") });
  expect(packagesMatch(folder)).toBe(false);
  write("node_modules/.package-lock.json", { packages: locked("0.9.0") });
  expect(packagesMatch(folder)).toBe(false);
  write("node_modules/.package-lock.json", { packages: locked("1.0.0") });
  expect(packagesMatch(folder)).toBe(true);
});

test("an optional package for another platform may be absent", () => {
  write("node_modules/.package-lock.json", { packages: {} });
  write("package-lock.json", { packages: locked("1.0.0", { optional: true }) });
  expect(packagesMatch(folder)).toBe(true);
  write("package-lock.json", { packages: locked("1.0.0") });
  expect(packagesMatch(folder)).toBe(false);
});

test.runIf(process.platform === "linux")(
  "a machine without a GPU fetches only the CUDA libraries that libtorch_cpu links",
  () => {
    const linux = '; platform_system == "Linux"';
    const lines = [
      "filelock",
      `cuda-toolkit[cublas,cudart,cupti]==13.0.3${linux}`,
      `nvidia-nccl-cu13==2.29.7${linux}`,
      `triton==3.7.1${linux}`,
    ];
    write(
      "torch-2.13.0.dist-info/METADATA",
      lines.map((line) => `Requires-Dist: ${line}\n`).join(""),
    );
    expect(cudaRequirements(folder, false)).toEqual(["cuda-toolkit[cudart,cupti]==13.0.3"]);
    expect(cudaRequirements(folder, true)).toEqual([
      "cuda-toolkit[cublas,cudart,cupti]==13.0.3",
      "nvidia-nccl-cu13==2.29.7",
    ]);
  },
);

test("a wheel without CUDA needs nothing more", () => {
  write("torch-2.13.0.dist-info/METADATA", "Requires-Dist: filelock\n");
  expect(cudaRequirements(folder, true)).toEqual([]);
});

test("a tested libtorch is read without a word", () => {
  writeLibtorch([2, 13, 0]);
  write("version.py", "__version__ = '2.13.0+cu130'\n");
  const warn = vi.fn();
  const found = readLibtorch({ root: folder, source: "LIBTORCH" }, { warn });
  expect(found).toEqual({
    root: folder,
    version: "2.13.0",
    build: "2.13.0+cu130",
    source: "LIBTORCH",
  });
  expect(warn).not.toHaveBeenCalled();
});

test("an untested libtorch warns, one that is too old is refused", () => {
  const warn = vi.fn();
  writeLibtorch([2, 9, 1]);
  expect(readLibtorch({ root: folder, source: "LIBTORCH" }, { warn }).version).toBe("2.9.1");
  expect(warn).toHaveBeenCalledOnce();
  writeLibtorch([2, 4, 0]);
  expect(() => readLibtorch({ root: folder, source: "LIBTORCH" }, { warn })).toThrow(
    /Expected libtorch 2\.13\.0, found 2\.4\.0/,
  );
});

test("a folder that is no libtorch is refused by the name of what it lacks", () => {
  const read = () => readLibtorch({ root: folder, source: "LIBTORCH" }, { warn: () => {} });
  expect(read).toThrow(/libtorch_cpu/);
});

test("LIBTORCH comes before the cache", () => {
  vi.stubEnv("VITOK_CACHE", join(folder, "cache"));
  vi.stubEnv("LIBTORCH_USE_PYTORCH", "");
  vi.stubEnv("LIBTORCH", "");
  expect(libtorchPlace()).toMatchObject({ managed: true });
  expect(libtorchPlace().root.startsWith(join(folder, "cache", "libtorch-2.13.0"))).toBe(true);
  vi.stubEnv("LIBTORCH", folder);
  expect(libtorchPlace()).toEqual({ root: folder, source: "LIBTORCH", managed: false });
});

test("the addon is stale after an edit of its sources or another libtorch", () => {
  write("native/addon.cc", "int a;");
  const libtorch = { root: "/a", version: "2.13.0", build: "2.13.0", source: "cache" };
  const before = inputStamp(folder, libtorch);
  expect(inputStamp(folder, libtorch)).toBe(before);
  expect(inputStamp(folder, { ...libtorch, root: "/b" })).not.toBe(before);
  write("native/addon.cc", "int b;");
  expect(inputStamp(folder, libtorch)).not.toBe(before);
});

test("a record of a build whose addon is gone does not count", () => {
  write("engine.json", { addon: "linux/vitok_torch.node" });
  expect(readEngine(folder)).toBeNull();
  write("linux/vitok_torch.node", "");
  expect(readEngine(folder)).toEqual({ addon: "linux/vitok_torch.node" });
});

test("a lock keeps a second set-up waiting, and is released by an error", async () => {
  const lock = join(folder, "setup.lock");
  const order: string[] = [];
  const log = vi.fn();
  const first = withLock(lock, { log }, async () => {
    order.push("first in");
    await new Promise((done) => setTimeout(done, 50));
    order.push("first out");
    throw new Error("mishap");
  });
  const second = withLock(lock, { log }, () => order.push("second"));
  await expect(first).rejects.toThrow("mishap");
  await second;
  expect(order).toEqual(["first in", "first out", "second"]);
  expect(log).toHaveBeenCalledOnce();
});

test("the lock of a process that has ended is taken over", async () => {
  const lock = join(folder, "setup.lock");
  const { hostname } = await import("node:os");
  const neverUsedPid = 2 ** 22 + 1; // above the largest that Linux and macOS give out
  writeFileSync(lock, `${hostname()} ${neverUsedPid}`);
  const held = await withLock(lock, { log: vi.fn() }, () => readFileSync(lock, "utf8"));
  expect(held).toBe(`${hostname()} ${process.pid}`);
});

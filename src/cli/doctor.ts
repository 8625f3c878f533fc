// `vitok doctor`: what ViTok needs and can use on this machine: found, or the command that brings it. It changes nothing.

import { fileURLToPath } from "node:url";
import { weightStatus } from "../perceptual/weights.js";
import { formatCount, openOutput, styled } from "./output.js";

/** What scripts/setup/inspect.mjs finds. */
interface Facts {
  readonly platform: string;
  readonly node: string;
  readonly libtorch: {
    readonly root: string | null;
    readonly version: string | null;
    readonly source: string;
    readonly problem: string | null;
  };
  readonly addon: { readonly path: string; readonly version: string } | null;
  readonly compiler: string | null;
  readonly cmake: string | null;
  readonly python: string | null;
  readonly ffmpeg: string | null;
  readonly gpu: string | null;
}

interface Check {
  readonly name: string;
  readonly found: boolean;
  /** Nothing runs without it. */
  readonly required: boolean;
  /** Where it is, or what it is for. */
  readonly detail: string;
  /** The command that brings it, where it is missing. */
  readonly get?: string;
}

const root = new URL("../../", import.meta.url);

export async function run(_: readonly string[], options: { json?: boolean }): Promise<number> {
  const output = openOutput(options);
  const facts = await inspect();
  const groups: Record<string, Check[]> = {
    engine: [...engineChecks(facts), await answers()],
    "set-up tools": toolChecks(facts),
    media: [ffmpegCheck(facts)],
    "perceptual weights": weightChecks(),
  };
  output.print(`vitok on ${facts.platform}, Node ${facts.node}`);
  for (const [title, checks] of Object.entries(groups)) {
    output.print(`\n${styled("bold", title)}`);
    for (const check of checks) output.print(describe(check));
  }
  const checks = Object.entries(groups).flatMap(([group, list]) =>
    list.map((check) => ({ group, ...check })),
  );
  const ok = checks.every(({ required, found }) => found || !required);
  output.print(
    ok ? "\nEverything that is required is here." : "\nSomething required is missing: see above.",
  );
  output.result({ ok, platform: facts.platform, node: facts.node, checks });
  return ok ? 0 : 1;
}

async function inspect(): Promise<Facts> {
  const url = new URL("scripts/setup/inspect.mjs", root).href;
  const { inspect } = (await import(url)) as { inspect(root: string): Facts };
  return inspect(fileURLToPath(root));
}

const setupCommand = "npx vitok setup";

function engineChecks({ libtorch, addon, gpu }: Facts): Check[] {
  const place = `${libtorch.version} in ${libtorch.root} (${libtorch.source})`;
  return [
    {
      name: "libtorch",
      found: libtorch.problem === null,
      required: true,
      detail: libtorch.problem ?? place,
      get: setupCommand,
    },
    {
      name: "addon",
      found: addon !== null,
      required: true,
      detail: addon ? `${addon.path}, built against ${addon.version}` : "not built",
      get: setupCommand,
    },
    {
      name: "GPU",
      found: gpu !== null,
      required: false,
      detail: gpu ?? "none that nvidia-smi knows: everything runs on the CPU, slowly",
    },
  ];
}

const withoutKernels =
  "without fused kernels: for them, python3 -m pip install nvidia-cuda-nvcc, CUDA_HOME set to its folder, npm run setup";

/** Whether the engine does a sum on every device, rather than whether its files are there. */
async function answers(): Promise<Check> {
  const name = "runs";
  try {
    const torch = await import("../torch/index.js");
    const names = torch.devices();
    for (const device of names)
      torch.scope(() => torch.randn([2, 2], { device }).matmul(torch.randn([2, 2], { device })));
    const memories = names.map((device) => {
      const { availableBytes } = torch.memory(device);
      return `${device} (${formatCount(availableBytes)}B free)`;
    });
    const kernels = names[1] && !torch.hasKernels(names[1]) ? `; ${withoutKernels}` : "";
    const detail = `${memories.join(", ")}; ${torch.getNumThreads()} threads${kernels}`;
    return { name, found: true, required: true, detail };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name, found: false, required: true, detail, get: setupCommand };
  }
}

function toolChecks(facts: Facts): Check[] {
  const tools = [
    ["compiler", facts.compiler, "a C++20 compiler", "sudo apt-get install g++"],
    ["cmake", facts.cmake, "set-up takes it from pip where it is absent", undefined],
    ["python3", facts.python, "fetches libtorch", "sudo apt-get install python3-pip"],
  ] as const;
  return tools.map(([name, path, use, get]) => ({
    ...{ name, found: path !== null, required: false, detail: path ?? use },
    ...(get ? { get } : {}),
  }));
}

function ffmpegCheck({ ffmpeg }: Facts): Check {
  const detail = ffmpeg ?? "reads and writes video; pictures need none";
  const get = "sudo apt-get install ffmpeg (or FFMPEG_PATH=/path/to/ffmpeg)";
  return { name: "ffmpeg", found: ffmpeg !== null, required: false, detail, get };
}

function weightChecks(): Check[] {
  return weightStatus().map(({ title, path, get }) => {
    return { name: title, found: path !== null, required: false, detail: path ?? "", get };
  });
}

function describe({ name, found, required, detail, get }: Check): string {
  const mark = found
    ? styled("green", "ok     ")
    : styled(required ? "red" : "yellow", required ? "MISSING" : "absent ");
  const lines = [`  ${mark}  ${name}${detail ? `: ${detail}` : ""}`];
  if (!found && get) lines.push(`           get it: ${get}`);
  return lines.join("\n");
}

// The command line as data: names, arguments and options of every command.
// It imports nothing heavy, so help is instant: a command's own module is loaded when it runs.

import { InvalidArgumentError } from "commander";

/** What a command's module, `<name>.js` beside this file, exports. */
export interface CommandModule {
  /** May resolve to an exit status; anything else is 0. What it throws is shown by its message: exit 1. */
  run(args: readonly Argument[], options: Options): Promise<unknown>;
}

/** `<name>` is a text, `<name...>` a list of them; an optional one that is not given is left out. */
export type Argument = string | string[];

/** By the long name in camelCase. The values are what `options` below makes of the text. */
export type Options = Readonly<Record<string, unknown>>;

export interface CommandOption {
  readonly flags: string;
  readonly summary: string;
  readonly parse?: (text: string, previous: unknown) => unknown;
  readonly required?: boolean;
  readonly default?: unknown;
}

export interface Command {
  readonly name: string;
  /** In commander's words: `<model> <file...>`. */
  readonly args: string;
  readonly summary: string;
  readonly options: readonly CommandOption[];
  readonly examples?: readonly string[];
}

const json: CommandOption = { flags: "--json", summary: "one JSON object on stdout" };
const out = (summary: string): CommandOption => ({ flags: "--out <dir>", summary, required: true });
const device: CommandOption = {
  flags: "--device <name>",
  summary: "auto, cpu, cuda or cuda:N",
  default: "auto",
};
const precision: CommandOption = {
  flags: "--precision <name>",
  summary: "float32 or bfloat16",
  parse: oneOf("float32", "bfloat16"),
  default: "float32",
};
const batchSize: CommandOption = {
  flags: "--batch-size <n>",
  summary: "samples at a time",
  parse: wholeNumber,
};
const keep: CommandOption = {
  flags: "--keep <n>",
  summary: "masked models: decode from the first n tokens",
  parse: wholeNumber,
};

/** How scores are computed, alike for models and for files. */
const scoring: readonly CommandOption[] = [
  {
    flags: "--protocol <name>",
    summary: "standard or vitok-paper",
    parse: oneOf("standard", "vitok-paper"),
    default: "standard",
  },
  {
    flags: "--fid-tap <channels>",
    summary: "64, 192, 768 or 2048; the score is then called FID-768",
    parse: oneOf("64", "192", "768", "2048"),
  },
  {
    flags: "--fid-input <name>",
    summary: "tensorflow (default) or pytorch: how pictures are resized for the 2015 Inception",
    parse: oneOf("tensorflow", "pytorch"),
  },
  {
    flags: "--lpips-trunk <name>",
    summary: "vgg, alex or squeeze (default: the first that is here)",
    parse: oneOf("vgg", "alex", "squeeze"),
  },
  { flags: "--inception <file>", summary: "Inception's weights (default: see doctor)" },
  { flags: "--i3d <file>", summary: "I3D's weights (default: see doctor)" },
];

export const commands: readonly Command[] = [
  {
    name: "demo",
    args: "",
    summary: "train a small tokenizer, evaluate it and write a report",
    options: [
      { flags: "--data <source>", summary: "your own pictures instead of the drawn ones" },
      { flags: "--out <dir>", summary: "the run's folder", default: "runs/demo" },
    ],
  },
  {
    name: "train",
    args: "<config>",
    summary: "train by a recipe",
    options: [
      {
        flags: "--set <key=value>",
        summary: "override a value (repeatable)",
        parse: collect,
        default: [],
      },
      { flags: "--out <dir>", summary: "the run's folder (default: runs/ and the recipe's name)" },
      { flags: "--resume", summary: "go on from the folder's last checkpoint" },
      json,
    ],
    examples: ["vitok train configs/smoke.yaml --set train.steps=100"],
  },
  {
    name: "evaluate",
    args: "<model>",
    summary: "reconstruction metrics with their protocol",
    options: [
      { flags: "--data <source>", summary: "a folder of pictures", required: true },
      metrics("psnr", "ssim"),
      { flags: "--size <pixels>", summary: "side of the crop", parse: wholeNumber },
      { flags: "--count <n>", summary: "the first n files only", parse: wholeNumber },
      {
        flags: "--real-stats <file>",
        summary: "the originals' statistics for fid (.npz): read, or made and written",
      },
      { flags: "--out <dir>", summary: "write scores.json, and meanwhile the state for --resume" },
      { flags: "--resume", summary: "go on from the state in --out" },
      { flags: "--report <dir>", summary: "write a page with pictures" },
      ...scoring,
      batchSize,
      keep,
      device,
      precision,
      json,
    ],
    examples: ["vitok evaluate runs/demo --data photos --report report"],
  },
  {
    name: "metrics",
    args: "",
    summary: "the same metrics between two sets of files",
    options: [
      { flags: "--real <source>", summary: "a folder, or statistics (.npz)", required: true },
      { flags: "--fake <source>", summary: "a folder, or statistics (.npz)" },
      metrics("psnr", "ssim"),
      { flags: "--save-stats <file>", summary: "write --real's statistics for fid (.npz)" },
      ...scoring,
      batchSize,
      device,
      json,
    ],
    examples: [
      "vitok metrics --real photos --fake recons --metrics psnr,ssim,lpips,fid",
      "vitok metrics --real photos --save-stats photos.npz",
    ],
  },
  {
    name: "compare",
    args: "<a> <b>",
    summary: "two files of scores side by side; unlike protocols are refused",
    options: [json],
    examples: ["vitok compare runs/a/scores.json runs/b/scores.json"],
  },
  {
    name: "reconstruct",
    args: "<model> <file...>",
    summary: "pictures through the tokenizer and back, side by side",
    options: [out("where the pictures go"), keep, device, precision, json],
  },
  {
    name: "encode",
    args: "<model> <file...>",
    summary: "pictures to a file of latents",
    options: [
      { flags: "--out <file>", summary: "a .safetensors file", required: true },
      batchSize,
      device,
      precision,
      json,
    ],
  },
  {
    name: "decode",
    args: "<model> <latents>",
    summary: "a file of latents to pictures",
    options: [out("where the pictures go"), keep, device, precision, json],
  },
  {
    name: "pack",
    args: "<source>",
    summary: "a set of pictures or videos into tar shards with an index",
    options: [
      out("where the shards go; an interrupted packing goes on there"),
      {
        flags: "--shard-size <n>",
        summary: "samples in a shard",
        parse: wholeNumber,
        default: 1000,
      },
      { flags: "--keep-order", summary: "as listed, instead of shuffled: for sets to evaluate on" },
      { flags: "--fps <n>", summary: "videos: decode them once, at this rate", parse: positive },
      {
        flags: "--size <pixels>",
        summary: "videos: short side (default: 128)",
        parse: wholeNumber,
      },
      {
        flags: "--seconds <n>",
        summary: "videos: keep at most the middle n seconds",
        parse: positive,
        default: 10,
      },
      {
        flags: "--quality <n>",
        summary: "videos: of WebP, 1-100",
        parse: wholeNumber,
        default: 90,
      },
      json,
    ],
    examples: [
      "vitok pack photos --out shards",
      "vitok pack UCF-101 --fps 8 --size 160 --out clips",
    ],
  },
  {
    name: "export",
    args: "<model>",
    summary: "the model for other runtimes, checked against this one",
    options: [
      { flags: "--format <name>", summary: "onnx", parse: oneOf("onnx"), default: "onnx" },
      out("encoder.onnx, decoder.onnx and config.json go here"),
      {
        flags: "--precision <name>",
        summary: "of the weights: float32 or float16",
        parse: oneOf("float32", "float16"),
        default: "float32",
      },
      { flags: "--no-check", summary: "do not run the files beside libtorch" },
      json,
    ],
    examples: ["vitok export runs/demo --format onnx --out onnx"],
  },
  {
    name: "info",
    args: "<variant-or-model>",
    summary: "parameters, multiply-adds, tokens and compression",
    options: [
      { flags: "--size <pixels>", summary: "side of the input (default: 256)", parse: wholeNumber },
      {
        flags: "--frames <n>",
        summary: "frames of the input (default: 1, video 16)",
        parse: wholeNumber,
      },
      json,
    ],
    examples: ["vitok info S-B/16", "vitok info S-B/4x8 --size 128 --json"],
  },
  {
    name: "runs",
    args: "[dir]",
    summary: "runs with their state and scores",
    options: [json],
  },
  {
    name: "bench",
    args: "[variant]",
    summary: "speed, memory and MFU of encode, decode and the train step",
    options: [
      { flags: "--size <pixels>", summary: "side of the input", parse: wholeNumber },
      { flags: "--steps <n>", summary: "timed repetitions", parse: wholeNumber },
      batchSize,
      device,
      precision,
      json,
    ],
  },
  {
    name: "doctor",
    args: "",
    summary: "engine, devices, ffmpeg, weights: found, or how to get them",
    options: [json],
  },
  { name: "setup", args: "", summary: "fetch libtorch and build the engine", options: [] },
];

function metrics(...initial: string[]): CommandOption {
  return {
    flags: "--metrics <names>",
    summary: "of psnr,ssim,ms-ssim,lpips,fid,is,fvd",
    parse: list,
    default: initial,
  };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a whole number above 0.");
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

function oneOf(...names: string[]) {
  return (text: string) => {
    if (names.includes(text)) return text;
    throw new InvalidArgumentError(`Expected ${names.join(" or ")}.`);
  };
}

function list(text: string): string[] {
  return text.split(",").map((name) => name.trim().toLowerCase());
}

function collect(text: string, previous: unknown): string[] {
  return [...(previous as string[]), text];
}

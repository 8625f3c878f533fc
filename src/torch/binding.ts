// Loads the addon, once, and says how to get it where it is missing. What the addon exports: native-interface.ts.
// Order: VITOK_ADDON, then build/ of this package, then the cache (where the package folder cannot be written).

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "./cache-folder.js";
import type { Native } from "./native-interface.js";

/** What scripts/setup/addon.mjs leaves beside the addon; `addon` is relative to it. */
interface Engine {
  readonly addon: string;
  readonly libtorch: string;
  readonly version: string;
}

const packageRoot = fileURLToPath(new URL("../../", import.meta.url));
const requireAddon = createRequire(import.meta.url);
let loaded: Native | undefined;

/** The addon. Throws an error that names the remedy where it was not built or cannot be loaded. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  const explicit = process.env.VITOK_ADDON;
  if (explicit) return open(resolve(explicit), undefined);
  for (const folder of buildFolders()) {
    const engine = readEngine(join(folder, "engine.json"));
    if (engine) return open(join(folder, engine.addon), engine);
  }
  throw new Error(helpText("Expected the engine's addon, found none built.", undefined));
}

function open(path: string, engine: Engine | undefined): Native {
  let addon: Native;
  try {
    addon = requireAddon(path) as Native;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(helpText(`Expected ${path} to load, but: ${reason}`, engine), { cause });
  }
  warnOfOtherVersion(addon, engine);
  return addon;
}

/** Libtorch can change under an addon, when its folder is a Python's torch and pip upgrades that. */
function warnOfOtherVersion(addon: Native, engine: Engine | undefined): void {
  const built = addon.versions().torchBuilt;
  const found = engine && libtorchVersion(engine.libtorch);
  if (!found || found.split("+")[0] === built) return;
  process.emitWarning(
    `The addon was built against libtorch ${built}, found ${found} in ${engine.libtorch}. Run: npx vitok setup`,
  );
}

function libtorchVersion(libtorch: string): string | undefined {
  const path = join(libtorch, "version.py");
  if (!existsSync(path)) return undefined;
  return /__version__ = '([^']+)'/.exec(readFileSync(path, "utf8"))?.[1];
}

function helpText(problem: string, engine: Engine | undefined): string {
  const wanted = engine ? `${engine.version} in ${engine.libtorch}` : "2.13";
  const found = engine && (libtorchVersion(engine.libtorch) ?? "none");
  return [
    problem,
    `Platform ${process.platform}-${process.arch}, Node ${process.versions.node}; libtorch wanted: ${wanted}${found ? `, found: ${found}` : ""}.`,
    "Possible solutions:",
    "  - build it: npx vitok setup (in a clone: npm run setup)",
    "  - see what is missing: npx vitok doctor",
    "  - an addon built elsewhere: set VITOK_ADDON to its path",
  ].join("\n");
}

/** The same folders as in scripts/setup/paths.mjs, which has to work before anything is compiled. */
function buildFolders(): string[] {
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as {
    version: string;
  };
  return [join(packageRoot, "build"), join(cacheFolder(), `build-${version}`)];
}

function readEngine(path: string): Engine | undefined {
  if (!existsSync(path)) return undefined;
  const engine = JSON.parse(readFileSync(path, "utf8")) as Engine;
  return existsSync(join(dirname(path), engine.addon)) ? engine : undefined;
}

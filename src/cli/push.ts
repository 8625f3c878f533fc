// `vitok push MODEL hf://owner/name`: a model folder with its card to the Hugging Face hub. Only what makes a model is sent, and
// nothing of the machine that it comes from. How it is sent is data/remote/hub-upload.ts.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError } from "../config-error.js";
import { parseHubModel } from "../data/remote/hub-model.js";
import { readGeneratorJson } from "../generator/facts.js";
import { readSafetensorsHeader } from "../nn/safetensors.js";
import { portable } from "../portable.js";
import { findModel, modelName } from "./model.js";
import { formatCount, openOutput, table } from "./output.js";

interface PushOptions {
  readonly token?: string;
  readonly onnx?: string;
  readonly private?: boolean;
  readonly pullRequest?: boolean;
  readonly message?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Of a model folder: its card and the pictures of it, the model, a generator's tokenizer. */
const modelFiles =
  /^((tokenizer\/)?(config\.json|model\.safetensors)|README\.md|LICENSE(\.\w+)?|[^/]+\.(png|jpe?g|webp|gif|svg))$/;
const onnxFiles = /^(config\.json|[^/]+\.onnx(\.data)?)$/;

export async function run(
  [target, repository]: readonly [string, string],
  options: PushOptions,
): Promise<void> {
  const output = openOutput(options);
  const { name, revision, folder: place } = parseHubModel(repository);
  const folder = findModel(target);
  const { sent, left } = chooseFiles(folder, options.onnx);
  const token = options.dryRun ? "" : tokenOf(options, name);
  const files = Object.entries(sent).map(([path, file]) => {
    const content = contentOf(file);
    const bytes = content instanceof Blob ? content.size : statSync(file).size;
    return { path: place ? `${place}/${path}` : path, bytes, content };
  });
  output.print(table(files.map(({ path, bytes }) => ({ path, size: `${formatCount(bytes)}B` }))));
  if (left.length) output.print(`\nNot sent: ${left.join(", ")}`);
  const list = files.map(({ path, bytes }) => ({ path, bytes }));
  const plan = { repository: name, revision, files: list, left };
  if (options.dryRun) {
    output.print(`\nNothing was sent to ${name} (${revision}).`);
    return output.result({ ...plan, dryRun: true });
  }
  const { uploadToHub } = await import("../data/remote/hub-upload.js");
  const commit = await uploadToHub({
    ...{ name, revision, token },
    files: Object.fromEntries(files.map(({ path, content }) => [path, content])),
    title: options.message ?? `Add ${modelName(resolve(folder))}`,
    ...{ isPrivate: options.private ?? false, isPullRequest: options.pullRequest ?? false },
    onProgress: (text) => output.log(text),
  });
  const { isNew, url, pullRequest } = commit;
  output.print(`\n${isNew ? "A new repository: " : ""}${pullRequest ?? url}`);
  output.result({ ...plan, dryRun: false, ...commit });
}

interface Choice {
  readonly sent: Readonly<Record<string, string>>;
  readonly left: readonly string[];
}

/** By path in the repository the files that go there; and the names of those that stay. */
function chooseFiles(folder: string, onnx: string | undefined): Choice {
  const { found, left } = filesOf(folder, modelFiles);
  requireParts(folder, found);
  if (!onnx) return { sent: found, left };
  const also = filesOf(onnx, onnxFiles);
  if (!Object.keys(also.found).some((name) => name.endsWith(".onnx")))
    throw new ConfigError(
      `Expected .onnx files in ${onnx}, the folder of --onnx, found none. Write them: npx vitok export ${folder} --format onnx --out ${onnx}`,
    );
  const inside = Object.entries(also.found).map(([name, path]) => [`onnx/${name}`, path]);
  return { sent: { ...found, ...Object.fromEntries(inside) }, left };
}

function filesOf(folder: string, wanted: RegExp) {
  if (!existsSync(folder)) throw new ConfigError(`Expected a folder, received ${folder}.`);
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
  const found: Record<string, string> = {};
  for (const name of names) if (wanted.test(name)) found[name] = join(folder, name);
  return { found, left: names.filter((name) => !(name in found)) };
}

/** @throws ConfigError naming what is missing, and how to get it; an Error where the weights cannot be read */
function requireParts(folder: string, found: Readonly<Record<string, string>>): void {
  if (!found["model.safetensors"])
    throw new ConfigError(`Expected model.safetensors in ${folder}, found none.`);
  readSafetensorsHeader(found["model.safetensors"]);
  if (!found["README.md"])
    throw new ConfigError(
      `Expected README.md in ${folder}, the model's card, found none. ${
        readGeneratorJson(folder)
          ? "Write one by hand: what its samples are, and what it learnt from."
          : `Write it: npx vitok card ${folder} --run RUN --scores FILE`
      }`,
    );
}

/** A file as it is; a config without the ways to files of this machine. */
function contentOf(path: string): URL | Blob {
  if (!path.endsWith("config.json")) return pathToFileURL(resolve(path));
  const config = portable(JSON.parse(readFileSync(path, "utf8")));
  return new Blob([`${JSON.stringify(config, null, 2)}\n`]);
}

function tokenOf({ token = process.env.HF_TOKEN }: PushOptions, name: string): string {
  if (token?.startsWith("hf_")) return token;
  throw new ConfigError(
    token
      ? "Expected a token of the hub for HF_TOKEN or --token, received one that does not begin with hf_."
      : `Expected a token that may write to ${name}, found none. Set HF_TOKEN or give --token; --dry-run needs none.`,
  );
}

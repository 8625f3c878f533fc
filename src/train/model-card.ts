// A model's card, the README.md of its folder: what it is, its scores, where it comes from, how to use it. Everything in it is
// read from the model's config, from its runs' logs and from files of scores; what none of them knows is the author's `about`.
import { stringify } from "yaml";
import type { ScoreFile } from "../evaluate/compare.js";
import { portable } from "../portable.js";
import { type TokenizerConfig, variantName } from "../tokenizer/config.js";
import { costOf, usualSize } from "../tokenizer/cost.js";
import { type RunRecord, stageOf } from "./log.js";

export interface CardFacts {
  readonly name: string;
  readonly config: TokenizerConfig;
  /** Of the file of weights: dtypes in it, bytes, and the hash that scores know it by. */
  readonly weights: { readonly dtypes: readonly string[]; bytes: number; hash: string };
  /** The runs that made it, the first stage first. */
  readonly runs: readonly RunRecord[];
  /** Of `vitok evaluate`, by the files they come from. */
  readonly scores: Readonly<Record<string, ScoreFile>>;
  /** The author's own words: data, what it is good for and what not. */
  readonly about?: string | undefined;
  /** An SPDX identifier. */
  readonly license?: string | undefined;
}

/** The card as Markdown, with the front matter that the Hugging Face hub reads. @throws where scores are of other weights */
export function modelCard(facts: CardFacts): string {
  const { name, config, about, license } = facts;
  const matter = {
    library_name: "vitok",
    ...(license && { license }),
    tags: ["vitok", "image-tokenizer", "autoencoder"],
  };
  const isVideo = config.tubeletSize > 1;
  return [
    `---\n${stringify(matter)}---`,
    `# ${name}`,
    `A ViTok auto-encoder, \`${variantName(config)}\`: ${isVideo ? "clips" : "pictures"} to latents and back.`,
    ...(about ? [about.trim()] : []),
    sizeTable(facts),
    ...scoreSection(facts),
    ...runSection(facts),
    usage(name, isVideo),
    "",
  ].join("\n\n");
}

function sizeTable({ config, weights }: CardFacts): string {
  const usual = usualSize(config);
  const { params, macs, tokens, latentSize, compressionRatio } = costOf(config, usual);
  const { patchSize: p, tubeletSize: q, channels, latentTokens, maskable } = config;
  const box = `${q > 1 ? `${q} x ` : ""}${p} x ${p}`;
  const millions = (count: number) => `${(count / 1e6).toFixed(1)} M`;
  const input = `${usual.frames > 1 ? `${usual.frames} x ` : ""}${usual.height} x ${usual.width}`;
  const kept = maskable ? "; any first part of them can be decoded" : "";
  return rows([
    ["", ""],
    [
      "parameters",
      `encoder ${millions(params.encoder)}, decoder ${millions(params.decoder)}; ${weights.dtypes.join(", ")}, ${(weights.bytes / 1e6).toFixed(1)} MB`,
    ],
    [
      "latent",
      `${latentTokens ? `${latentTokens} tokens` : `one token for ${box} pixels`} of ${channels} numbers${kept}`,
    ],
    [
      `at ${input} pixels`,
      `${tokens} tokens, E = ${latentSize}, ${compressionRatio.toFixed(1)} x fewer numbers, ${(macs.total / 1e9).toFixed(1)} G multiply-adds`,
    ],
    ["weights", `SHA-256 ${weights.hash}...`],
  ]);
}

/** One row a file of scores; how they were measured below, where it is not the same for all of them for each. */
function scoreSection({ scores, weights }: CardFacts): string[] {
  const files = Object.entries(scores);
  if (files.length === 0) return [];
  for (const [file, { protocol }] of files)
    if (protocol.weightsHash !== weights.hash)
      throw new Error(
        `Expected scores of these weights (${weights.hash}) in ${file}, received those of ${protocol.weightsHash}. Evaluate this folder.`,
      );
  const names = [...new Set(files.flatMap(([, { metrics }]) => Object.keys(metrics)))];
  const table = rows([
    ["set", "n", "crop", ...names],
    ...files.map(([, { metrics, protocol }]) => [
      ...[protocol.set, protocol.count, `${protocol.size} px`].map(String),
      ...names.map((name) => metrics[name]?.toFixed(name === "PSNR" ? 2 : 4) ?? "-"),
    ]),
  ]);
  return ["## Scores", table, protocols(files.map(([, { protocol }]) => protocol))];
}

const inTable = ["set", "count", "size", "setHash", "weightsHash"];

function protocols(all: readonly ScoreFile["protocol"][]): string {
  const fields = [...new Set(all.flatMap(Object.keys))].filter((name) => !inTable.includes(name));
  const told = fields.flatMap((name) => {
    const values = [...new Set(all.map((protocol) => protocol[name] ?? null))];
    const known = values.filter((value) => value !== null);
    return known.length ? [`${name}: ${known.join(" / ")}`] : [];
  });
  return `Measured by \`vitok evaluate\`: ${told.join("; ")}.`;
}

function runSection({ runs }: CardFacts): string[] {
  if (runs.length === 0) return [];
  return ["## Training", ...runs.map(describeRun)];
}

function describeRun({ run, steps, end }: RunRecord): string {
  const last = steps.at(-1);
  const config = portable(run.config);
  const { data } = config as { data?: { path?: string } };
  const minutes = ((end?.elapsedMs ?? last?.elapsedMs ?? 0) / 60_000).toFixed(1);
  const stage = stageOf(run);
  const facts = [
    `${end?.step ?? last?.step ?? 0} steps on ${data?.path ?? "data unknown"}`,
    `${minutes} minutes on ${run.device}${run.processes ? ` x ${run.processes}` : ""}`,
    `seed ${run.seed}`,
    `vitok ${run.version}, ${run.engine}`,
  ];
  return [
    `${typeof stage === "number" ? `Stage ${stage}` : stage}: ${facts.join("; ")}.`,
    `<details><summary>The recipe</summary>\n\n\`\`\`yaml\n${stringify(config).trim()}\n\`\`\`\n\n</details>`,
  ].join("\n\n");
}

function usage(name: string, isVideo: boolean): string {
  const [read, write] = isVideo
    ? ['await readVideo("clip.mp4")', 'await writeVideo("recon.mp4", clip, { fps: 8 })']
    : ['await readImage("photo.jpg")', 'await writeImage("recon.png", clip)'];
  const [reader, writer] = isVideo ? ["readVideo", "writeVideo"] : ["readImage", "writeImage"];
  return `## Use

\`\`\`js
import { batchOf, clipsOf, pixelsOf, ${reader}, Tokenizer, ${writer} } from "vitok";
const tokenizer = await Tokenizer.load("${name}"); // this folder
const pixels = pixelsOf(batchOf([${read}]));
const { mean, grid, size } = tokenizer.encode(pixels); // the latent
const [clip] = clipsOf(tokenizer.decode(mean, grid, { size }));
${write};
\`\`\``;
}

/** A Markdown table, the first row its head. */
function rows([head, ...body]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head!), line(head!.map(() => "---")), ...body.map(line)].join("\n");
}

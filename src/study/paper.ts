// The paper's own numbers (configs/studies/paper.json) as points of the same form as ours, so that one analysis and one drawing
// serve both. What the paper does not print is named, never guessed.
import { readFileSync } from "node:fs";
import { ConfigError } from "../config-error.js";
import type { InputSize } from "../tokenizer/cost.js";
import { paperFile, type Values } from "./manifest.js";
import type { Point } from "./results.js";

export interface PaperPoints {
  readonly points: readonly Point[];
  /** Of what it was measured on: E is compared at the same compression. */
  readonly size: InputSize;
  /** What the paper does not tell, in words. */
  readonly missing: readonly string[];
}

/** By [p][c]: the five channel counts in order. */
type ByPatch = Record<string, (number | null)[]>;
type Numbers = Record<string, number | null>;
interface PaperFile {
  readonly fig3_11_256p_recon_SB_stage1: Record<string, ByPatch>;
  readonly fig4_gen_DiT_L_500k_cfg1_5: Record<string, ByPatch>;
  readonly [key: string]: unknown;
}

const channels = [4, 8, 16, 32, 64];
const square = (side: number, frames = 1): InputSize => ({ frames, height: side, width: side });
/** The paper writes rSSIM and rPSNR. */
const nameOf = (name: string) => name.replace(/^(i1k|coco)_/, "").replace(/^r(SSIM|PSNR)$/, "$1");

let file: PaperFile | undefined;
function read<T>(key: string): T {
  file ??= JSON.parse(readFileSync(paperFile, "utf8")) as PaperFile;
  if (key in file) return file[key] as T;
  throw new ConfigError(`Expected ${key} in ${paperFile}, found none.`);
}

/** The points of a study, by the key in its file. @throws ConfigError for a key that has none */
export function paperPoints(key: string): PaperPoints {
  const reader = readers[key];
  if (reader) return reader();
  throw new ConfigError(
    `Expected ${Object.keys(readers).join(", ")} for paper.points, received "${key}".`,
  );
}

const readers: Readonly<Record<string, () => PaperPoints>> = {
  fig3: () => ({
    points: patchPoints(read("fig3_11_256p_recon_SB_stage1"), "reconstruction"),
    size: square(256),
    missing: ["rIS on COCO", "LPIPS"],
  }),
  fig4: () => ({
    points: patchPoints(read("fig4_gen_DiT_L_500k_cfg1.5"), "generation"),
    size: square(256),
    missing: ["p 8, c 64, which was not trained", "single points at guidance 3.0"],
  }),
  fig5: () => ({ points: sizePoints("reconstruction"), size: square(256), missing: [] }),
  fig7: () => ({
    points: sizePoints("generation"),
    size: square(256),
    missing: ["gIS at guidance 3.0"],
  }),
  fig9: () => {
    const { note, ...rows } = read<Record<string, Numbers>>("fig9_losses");
    const points = Object.entries(rows).map(([loss, metrics]) =>
      point("reconstruction", { loss: loss.replaceAll(".0", "") }, 4096, metrics),
    );
    return { points, size: square(256), missing: [String(note)] };
  },
  fig10: videoPoints,
  fig12: () => {
    const { p, note: _, ...metrics } = read<Record<string, number[]>>("fig12_512p_c16");
    const points = p!.flatMap((side, i) => bySet(metrics, i, { p: side }, (512 / side) ** 2 * 16));
    return { points, size: square(512), missing: ["rIS"] };
  },
  fig13: ganPoints,
  fig14: () => {
    const { E, ...rows } = read<Record<string, number[]>>("fig14_latent");
    const points = ["simple", "latent"].flatMap((kind) =>
      E!.map((latentSize, i) =>
        point("reconstruction", { kind, E: latentSize }, latentSize, {
          rFID: rows[`${kind}_rFID`]![i]!,
          PSNR: rows[`${kind}_PSNR`]![i]!,
        }),
      ),
    );
    return { points, size: square(256), missing: ["exact rIS and SSIM"] };
  },
  fig15: () => {
    const { E, note: _, ...rows } = read<Record<string, number[]>>("fig15_mask");
    const points = Object.entries(rows).flatMap(([name, values]) =>
      E!.map((latentSize, i) =>
        point("reconstruction", { kind: kindOf(name), E: latentSize }, latentSize, {
          rFID: values[i]!,
        }),
      ),
    );
    return { points, size: square(256), missing: ["exact rIS, SSIM and PSNR"] };
  },
  table2: () => tablePoints("table2_256p", square(256)),
  table3: () => tablePoints("table3_512p", square(512)),
  table4: () => tablePoints("table4_128p_UCF101", square(128, 16)),
  table5: () => {
    const sizes = read<Record<string, Record<string, Numbers>>>("table5_generation");
    const points = Object.entries(sizes).flatMap(([side, models]) =>
      Object.entries(models).map(([model, metrics]) =>
        point("generation", { model, size: Number.parseInt(side, 10) }, undefined, metrics),
      ),
    );
    return { points, size: square(256), missing: [] };
  },
  table6: () => tablePoints("table6_video_generation_128p", square(128, 16), "generation"),
};

/** `mask_simple_rFID` -> `mask simple`. */
const kindOf = (name: string) => name.replace("_rFID", "").replace("_", " ");

function point(
  kind: Point["kind"],
  values: Values,
  latentSize: number | undefined,
  metrics: Numbers,
): Point {
  const known = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  return {
    ...{ kind, values },
    ...(latentSize === undefined ? {} : { latentSize }),
    metrics: Object.fromEntries(known.map(([name, value]) => [nameOf(name), value!])),
  };
}

/** One point for each p and c, with every metric that is told; i1k and coco apart. */
function patchPoints(tables: Record<string, unknown>, kind: Point["kind"]): Point[] {
  const { key: _, ...metrics } = tables as Record<string, ByPatch>;
  return [8, 16, 32].flatMap((p) =>
    channels.flatMap((c, i) => {
      const row = Object.fromEntries(
        Object.entries(metrics).map(([name, byPatch]) => [name, byPatch[p]?.[i] ?? null]),
      );
      const told = Object.values(row).some((value) => value !== null);
      const latentSize = (256 / p) ** 2 * c;
      return told ? splitSets(row, { p, c }, latentSize, kind) : [];
    }),
  );
}

/** `i1k_rFID` and `coco_rFID` are points of two sets. */
function splitSets(
  row: Numbers,
  values: Values,
  latentSize: number,
  kind: Point["kind"] = "reconstruction",
): Point[] {
  const sets = [...new Set(Object.keys(row).map((name) => /^(i1k|coco)_/.exec(name)?.[1]))];
  return sets.map((set) => {
    const own = Object.entries(row).filter(([name]) => /^(i1k|coco)_/.exec(name)?.[1] === set);
    return point(kind, set ? { ...values, set } : values, latentSize, Object.fromEntries(own));
  });
}

function bySet(
  metrics: Record<string, number[]>,
  index: number,
  values: Values,
  latentSize: number,
): Point[] {
  const row = Object.fromEntries(
    Object.entries(metrics).map(([name, list]) => [name, list[index] ?? null]),
  );
  return splitSets(row, values, latentSize);
}

function sizePoints(kind: Point["kind"]): Point[] {
  const { order, ...rows } = read<Record<string, (number | string)[]>>("fig5_8_sizes_p16_c16");
  const towers = read<Record<string, { params_M: number }>>("table1");
  return (order as string[]).flatMap((pair, i) => {
    const [encoder, decoder] = pair.split("-") as [string, string];
    const params = {
      encoder: 1e6 * towers[encoder]!.params_M,
      decoder: 1e6 * towers[decoder]!.params_M,
      total: 1e6 * (towers[encoder]!.params_M + towers[decoder]!.params_M),
    };
    const told = (names: readonly string[]) =>
      Object.fromEntries(
        names.map((name) => [name.replace(/_cfg.*/, ""), rows[name]![i] as number]),
      );
    const make = (values: Values, names: readonly string[]) => ({
      ...point(kind, { encoder, decoder, ...values }, 4096, told(names)),
      params,
    });
    return kind === "reconstruction"
      ? [make({}, ["rFID", "rIS", "rSSIM", "rPSNR"])]
      : [
          make({ guidance: 1.5 }, ["gFID_cfg1.5", "gIS_cfg1.5"]),
          make({ guidance: 3 }, ["gFID_cfg3"]),
        ];
  });
}

function videoPoints(): PaperPoints {
  const {
    E,
    q1_p32: single,
    ...metrics
  } = read<Record<string, Record<string, number[]>>>("fig10_video_256p_SB_c16_UCF101");
  const points = [2, 4, 8].flatMap((q) =>
    [32, 16, 8].map((p, i) => {
      const row = Object.entries(metrics).filter(([name]) => name !== "key");
      return point(
        "reconstruction",
        { p, q },
        E![q]![i]!,
        Object.fromEntries(row.map(([name, byTubelet]) => [name, byTubelet[q]![i]!])),
      );
    }),
  );
  const { E: latentSize, ...row } = single as unknown as Record<string, number>;
  points.unshift(point("reconstruction", { p: 32, q: 1 }, latentSize, row));
  return {
    points,
    size: square(256, 16),
    missing: ["Kinetics-700 and Shutterstock as single numbers"],
  };
}

function ganPoints(): PaperPoints {
  const { full_finetune_50k_100k: full, ...curves } = read<Record<string, number[]>>(
    "fig13_gan_rFID_at_10k..100k",
  );
  const make = (gan: string, step: number, rFID: number) =>
    point("reconstruction", { gan, step }, 4096, { rFID });
  const points = Object.entries(curves).flatMap(([name, list]) => {
    const weight = /w([\d.]+)/.exec(name)?.[1];
    const rate = /lr(\de-\d)/.exec(name)?.[1];
    const gan = weight ? `w${weight} lr${rate}` : "none";
    return list.map((rFID, i) => make(gan, (i + 1) * 10_000, rFID));
  });
  points.push(...full!.map((rFID, i) => make("full", (i + 1) * 50_000, rFID)));
  return {
    points,
    size: square(256),
    missing: ["full fine-tuning at other steps than 50k and 100k"],
  };
}

/** Rows by model; sets are sub-tables. */
function tablePoints(
  key: string,
  size: InputSize,
  kind: Point["kind"] = "reconstruction",
): PaperPoints {
  const models = Object.entries(read<Record<string, unknown>>(key));
  const rows = models.filter(
    (entry): entry is [string, Record<string, Numbers | number>] => typeof entry[1] === "object",
  );
  const points = rows.flatMap(([model, row]) => {
    const scalars = Object.fromEntries(
      Object.entries(row).filter(
        ([name, value]) => typeof value === "number" && /^[rg][A-Z]/.test(name),
      ),
    ) as Numbers;
    const sets = Object.entries(row).filter(([, value]) => typeof value === "object");
    const params = "params_M" in row ? { params: { total: 1e6 * Number(row.params_M) } } : {};
    const one = (values: Values, metrics: Numbers) => ({
      ...point(kind, { model, ...values }, undefined, metrics),
      ...params,
    });
    return [
      ...(Object.keys(scalars).length ? [one({}, scalars)] : []),
      ...sets.map(([set, value]) => one({ set }, value as Numbers)),
    ];
  });
  const notes = models.filter(([name]) => name === "note").map(([, text]) => String(text));
  return { points, size, missing: notes };
}

// How long a study will take, before it runs: multiply-adds over the throughput that was measured, with the overhead of each
// command and step. Rough by design; what this store has measured on the same kind of device corrects it.
import { generatorCost, parseDitName } from "../generator/config.js";
import { costOf } from "../tokenizer/cost.js";
import { inputSize } from "../train/pace.js";
import type { Cell } from "./cells.js";
import type { Step } from "./plan.js";
import type { Store } from "./store.js";

/** Floating-point operations a second in training and in inference, and the least time of a step, a command and an LPIPS pixel. */
interface Machine {
  readonly training: number;
  readonly inference: number;
  readonly stepSeconds: number;
  readonly startSeconds: number;
  readonly lpipsSecondsPerPixel: number;
}

/**
 * One H100: S-B/16 at 256 px trains 1,918 pictures a second without LPIPS and 1,212 with it (docs/results.md). A CPU: two cores,
 * the demo's 600 steps of 16.
 */
const machines: Readonly<Record<"cuda" | "cpu", Machine>> = {
  cuda: {
    training: 400e12,
    inference: 300e12,
    stepSeconds: 0.015,
    startSeconds: 5,
    lpipsSecondsPerPixel: 4.6e-9,
  },
  cpu: {
    training: 0.15e12,
    inference: 0.15e12,
    stepSeconds: 0.02,
    startSeconds: 3,
    lpipsSecondsPerPixel: 6e-6,
  },
};

export interface EstimateOptions {
  readonly device: "cuda" | "cpu";
  readonly store?: Store | undefined;
}

/** Seconds that a step takes alone on one device. */
export function estimateStep(step: Step, { device }: Pick<EstimateOptions, "device">): number {
  const machine = machines[device];
  const pixels = pixelsOf(step.cell);
  const { macs } = costOf(step.cell.config.model, inputSize(step.cell.config));
  if (step.kind === "train") {
    const { train, losses, generator } = step.stage.config;
    const { steps, batchSize } = train;
    const work = generator ? ditMacs(step.cell, generator.variant) : macs.total;
    const lpips = generator ? 0 : losses.lpips > 0 ? machine.lpipsSecondsPerPixel * pixels : 0;
    const perStep = batchSize * ((6 * work) / machine.training + lpips);
    return machine.startSeconds + steps * Math.max(machine.stepSeconds, perStep);
  }
  const count = Number(step.kind === "evaluate" ? (step.scoring.options.count ?? 5000) : 5000);
  const passes = step.kind === "evaluate" && step.isGenerator ? samplingMacs(step) : macs.total;
  return machine.startSeconds + (count * 2 * passes) / machine.inference;
}

/** Seconds of steps that are not done yet; where this store has made some on the device, by how much they took longer. */
export function estimateSteps(steps: readonly Step[], { device, store }: EstimateOptions): number {
  const missing = steps.filter(({ key }) => !store?.done(key));
  const sum = missing.reduce((total, step) => total + estimateStep(step, { device }), 0);
  return sum * (store ? correction(steps, { device, store }) : 1);
}

/** Measured over estimated time of finished trainings, the median; 1 without any. */
function correction(
  steps: readonly Step[],
  { device, store }: { device: "cuda" | "cpu"; store: Store },
): number {
  const ratios = steps.flatMap((step) => {
    const record = step.kind === "train" ? store.done(step.key) : undefined;
    return record?.device.startsWith(device)
      ? [record.elapsedMs / 1000 / estimateStep(step, { device })]
      : [];
  });
  return ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 1;
}

const pixelsOf = ({ config }: Cell): number => {
  const { frames, height, width } = inputSize(config);
  return frames * height * width;
};

function ditMacs(cell: Cell, variant = "DiT-S"): number {
  const { config } = cell;
  const { tokens } = costOf(config.model, inputSize(config));
  const { channels, latentTokens } = config.model;
  const tower = { ...parseDitName(variant), channels, classes: 1000, prediction: "noise" as const };
  return generatorCost(tower, latentTokens || tokens).macs;
}

/** Of one sample: both branches of the guidance in every step. */
function samplingMacs({ cell, scoring }: Step & { kind: "evaluate" }): number {
  const variant = cell.dit?.config.generator?.variant;
  return 2 * Number(scoring.options.steps ?? 250) * ditMacs(cell, variant);
}

// The frozen networks that a plan's metrics need, loaded together and let go together.
import type { FeatureNetwork } from "../perceptual/feature-network.js";
import { I3d } from "../perceptual/i3d.js";
import { Inception2015 } from "../perceptual/inception-2015.js";
import { InceptionTorchvision } from "../perceptual/inception-torchvision.js";
import { Lpips } from "../perceptual/lpips.js";
import { needsInception, type Plan } from "./plan.js";

export interface Networks {
  /** For FID and IS. */
  readonly image: FeatureNetwork | undefined;
  /** For FVD. */
  readonly video: FeatureNetwork | undefined;
  readonly lpips: Lpips | undefined;
  /** Of those that were loaded. */
  dispose(): void;
}

/** Networks that are at hand; they stay the caller's. */
export type GivenNetworks = Partial<Pick<Networks, "image" | "video" | "lpips">>;

/**
 * Loads what the metrics need and is not given onto a device. Dispose of it.
 * @throws an Error that names a missing weight file and what works without it, or a tap that a partial file lacks
 */
export function loadNetworks(
  plan: Plan,
  { device, given = {} }: { device: string; given?: GivenNetworks | undefined },
): Networks {
  const isAsked = (...names: (typeof plan.metrics)[number][]) =>
    names.some((name) => plan.metrics.includes(name));
  const loaded: { dispose(): void }[] = [];
  const load = <T extends { dispose(): void }>(make: () => T): T => {
    const network = make();
    loaded.push(network);
    return network;
  };
  const dispose = () => {
    for (const network of loaded) network.dispose();
  };
  try {
    const lpips = isAsked("lpips")
      ? (given.lpips ?? load(() => Lpips.load({ trunk: plan.lpipsTrunk, device, tf32: plan.tf32 })))
      : undefined;
    const image = needsInception(plan)
      ? (given.image ?? load(() => loadInception(plan, device)))
      : undefined;
    const video = isAsked("fvd") ? (given.video ?? load(() => loadI3d(plan, device))) : undefined;
    if (isAsked("fid", "fid-inf", "kid", "pr")) requireTap(image!, plan.fidTap);
    if (isAsked("is")) requireTap(image!, "logits");
    return { image, video, lpips, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function loadInception(plan: Plan, device: string): FeatureNetwork {
  const { rules, fidInput, inceptionPath, tf32 } = plan;
  const options = { ...(inceptionPath ? { path: inceptionPath } : {}), device, tf32 };
  return rules.inception === "inception-2015"
    ? Inception2015.load({ ...options, protocol: fidInput })
    : InceptionTorchvision.load(options);
}

function loadI3d({ i3dPath, fvdInput: protocol }: Plan, device: string): FeatureNetwork {
  return I3d.load({ ...(i3dPath ? { path: i3dPath } : {}), protocol, device });
}

/** Before the first picture is read, and with the way out that the network itself does not know. */
function requireTap({ taps, weightsPath, missing }: FeatureNetwork, tap: string): void {
  if ((taps as readonly string[]).includes(tap)) return;
  const other = taps.filter((name) => name !== "logits").at(-1);
  const wayOut =
    tap === "logits"
      ? "leave is out"
      : `use --fid-tap ${other}, whose score is called FID-${other}`;
  throw new Error(
    `Expected weights with the ${tap} tap, received ${weightsPath}, which covers ${taps.join(", ")}` +
      `${missing ? ` (missing: ${missing})` : ""}. Give the whole file, or ${wayOut}.`,
  );
}

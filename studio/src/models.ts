// The models that the studio offers: those its own server exports, which this browser runs, and those of a service.
import { type Progress, WebTokenizer } from "vitok/web";
import { RemoteTokenizer } from "./remote-tokenizer.js";

export interface Generator {
  readonly classes: number;
  readonly classNames: readonly string[];
  readonly size: { readonly frames: number; readonly height: number; readonly width: number };
}

export type StudioModel = {
  readonly name: string;
  readonly variant: string;
} & (
  | { readonly place: "browser"; readonly url: string }
  | {
      readonly place: "server";
      readonly maskable: boolean;
      readonly tubeletSize: number;
      readonly generator?: Generator;
    }
);

export interface Offer {
  readonly models: readonly StudioModel[];
  /** Why the service's models are missing, where they are. */
  readonly trouble?: string;
}

export async function readOffer(): Promise<Offer> {
  const response = await fetch("/models.json");
  return (await response.json()) as Offer;
}

/** What a view needs of a tokenizer, wherever it runs. */
export interface StudioTokenizer
  extends Pick<WebTokenizer, "encodeClip" | "decodeClip" | "dispose"> {
  readonly maskable: boolean;
  readonly tubeletSize: number;
  /** Where it computes, in words. */
  readonly where: string;
}

export async function openTokenizer(
  model: StudioModel,
  onProgress: (progress: Progress) => void,
): Promise<StudioTokenizer> {
  if (model.place === "server") return new RemoteTokenizer(model);
  const tokenizer = await WebTokenizer.load(model.url, { onProgress });
  const { config, backend } = tokenizer;
  return {
    encodeClip: (sources) => tokenizer.encodeClip(sources),
    decodeClip: (latent, options) => tokenizer.decodeClip(latent, options),
    dispose: () => tokenizer.dispose(),
    maskable: config.maskable,
    tubeletSize: config.tubelet_size,
    where:
      backend.name === "webgpu"
        ? "on the graphics processor"
        : `WebAssembly, ${backend.threads} threads`,
  };
}

/** What a list shows of a model. */
export const labelOf = ({ name, variant, place }: StudioModel): string =>
  `${name} · ${variant}${place === "server" ? " · server" : ""}`;

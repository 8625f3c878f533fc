// What a model makes of the frames that are shown: loaded, encoded, decoded, scored. One computation at a time; the last wish
// wins. An image model sees one frame at a time, a video model all of them.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Progress, WebLatent } from "vitok/web";
import { openTokenizer, type StudioModel, type StudioTokenizer } from "./models.js";
import { psnr, ssim } from "./scores.js";

export interface Result {
  readonly originals: readonly ImageData[];
  readonly recons: readonly ImageData[];
  /** One for each frame of an image model, else one for all. */
  readonly latents: readonly WebLatent[];
  readonly encodeMs: number;
  readonly decodeMs: number;
  /** Of each frame. */
  readonly PSNR: readonly number[];
  readonly SSIM: readonly (number | undefined)[];
}

export interface Session {
  readonly model: StudioModel | undefined;
  readonly tokenizer: StudioTokenizer | undefined;
  readonly progress: Progress | undefined;
  readonly result: Result | undefined;
  /** What is being computed, in words; undefined while nothing is. */
  readonly busy: string | undefined;
  readonly failure: string | undefined;
  /** Kept tokens of a Masked model; undefined: all of them. */
  readonly keep: number | undefined;
  readonly setKeep: (keep: number) => void;
}

export type Frames = readonly ImageData[];

interface Coded {
  readonly originals: Frames;
  readonly tokenizer: StudioTokenizer;
  readonly latents: readonly WebLatent[];
  readonly encodeMs: number;
}

export function useSession(model: StudioModel | undefined, originals: Frames | undefined): Session {
  const [result, setResult] = useState<Result>();
  const [failure, setFailure] = useState<string>();
  const [busy, setBusy] = useState<string>();
  const [keep, setKeep] = useState<number>();
  const { tokenizer, progress } = useTokenizer(model, setFailure);
  const wish = useRef(0);
  const coded = useRef<Coded>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another model forgets what was kept of the last one.
  useEffect(() => {
    setKeep(undefined);
    setResult(undefined);
    setFailure(undefined);
  }, [model]);

  const compute = useCallback(async () => {
    if (!tokenizer || !originals) return;
    const mine = ++wish.current;
    const isStale = () => mine !== wish.current;
    const tell = (what: string, i: number) =>
      isStale() ||
      setBusy(originals.length > 1 ? `${what} frame ${i + 1} of ${originals.length}` : "Computing");
    tell("Encoding", 0);
    try {
      const known = coded.current;
      const isKnown = known?.originals === originals && known.tokenizer === tokenizer;
      const code = isKnown ? known : await encode(tokenizer, originals, (i) => tell("Encoding", i));
      if (isStale()) return;
      coded.current = code;
      const start = performance.now();
      const recons: ImageData[] = [];
      for (const [i, latent] of code.latents.entries()) {
        tell("Decoding", i);
        const options = keep === undefined ? {} : { keep: Math.min(keep, latent.tokens) };
        recons.push(...(await tokenizer.decodeClip(latent, options)));
        if (isStale()) return;
      }
      const decodeMs = performance.now() - start;
      const PSNR = recons.map((recon, i) => psnr(originals[i]!, recon));
      const SSIM = recons.map((recon, i) => ssim(originals[i]!, recon));
      setFailure(undefined);
      setResult({ ...code, recons, decodeMs, PSNR, SSIM });
    } catch (error) {
      if (!isStale()) setFailure((error as Error).message);
    } finally {
      if (!isStale()) setBusy(undefined);
    }
  }, [tokenizer, originals, keep]);
  useEffect(() => void compute(), [compute]);

  return { model, tokenizer, progress, result, busy, failure, keep, setKeep };
}

/** The model's tokenizer, once it is here. */
function useTokenizer(model: StudioModel | undefined, onFailure: (message: string) => void) {
  const [tokenizer, setTokenizer] = useState<StudioTokenizer>();
  const [progress, setProgress] = useState<Progress>();
  useEffect(() => {
    if (!model) return;
    let isGone = false;
    let loaded: StudioTokenizer | undefined;
    setProgress(undefined);
    openTokenizer(model, (next) => isGone || setProgress(next)).then(
      (opened) => {
        loaded = opened;
        if (isGone) opened.dispose();
        else setTokenizer(opened);
      },
      (error: Error) => isGone || onFailure(error.message),
    );
    return () => {
      isGone = true;
      loaded?.dispose();
      setTokenizer(undefined);
    };
  }, [model, onFailure]);
  return { tokenizer, progress };
}

async function encode(
  tokenizer: StudioTokenizer,
  originals: Frames,
  onFrame: (index: number) => void,
): Promise<Coded> {
  const start = performance.now();
  const parts = tokenizer.tubeletSize === 1 ? originals.map((frame) => [frame]) : [originals];
  const latents: WebLatent[] = [];
  for (const [i, part] of parts.entries()) {
    onFrame(i);
    latents.push(await tokenizer.encodeClip(part));
  }
  return { originals, tokenizer, latents, encodeMs: performance.now() - start };
}

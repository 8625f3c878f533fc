// The studio's state: a model, a picture, and what the model makes of it. One computation at a time; the last wish wins.
import { useCallback, useEffect, useRef, useState } from "react";
import { type Progress, type WebLatent, WebTokenizer } from "vitok/web";
import { psnr, ssim } from "./scores.js";

export interface Result {
  readonly original: ImageData;
  readonly recon: ImageData;
  readonly latent: WebLatent;
  readonly encodeMs: number;
  readonly decodeMs: number;
  readonly PSNR: number;
  readonly SSIM: number | undefined;
}

export interface Session {
  readonly tokenizer: WebTokenizer | undefined;
  readonly progress: Progress | undefined;
  readonly result: Result | undefined;
  readonly isBusy: boolean;
  readonly failure: string | undefined;
  /** Kept tokens of a Masked model; undefined: all of them. */
  readonly keep: number | undefined;
  readonly setKeep: (keep: number) => void;
}

export function useSession(modelUrl: string | undefined, picture: ImageData | undefined): Session {
  const [tokenizer, setTokenizer] = useState<WebTokenizer>();
  const [progress, setProgress] = useState<Progress>();
  const [result, setResult] = useState<Result>();
  const [failure, setFailure] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const [keep, setKeep] = useState<number>();
  const wish = useRef(0);
  const coded = useRef<{
    picture: ImageData;
    tokenizer: WebTokenizer;
    latent: WebLatent;
    encodeMs: number;
  }>(null);

  useEffect(() => {
    if (!modelUrl) return;
    let isGone = false;
    let loaded: WebTokenizer | undefined;
    setTokenizer(undefined);
    setKeep(undefined);
    setFailure(undefined);
    WebTokenizer.load(modelUrl, { onProgress: (next) => isGone || setProgress(next) }).then(
      (model) => {
        loaded = model;
        if (isGone) model.dispose();
        else setTokenizer(model);
      },
      (error: Error) => isGone || setFailure(error.message),
    );
    return () => {
      isGone = true;
      loaded?.dispose();
    };
  }, [modelUrl]);

  const compute = useCallback(async () => {
    if (!tokenizer || !picture) return;
    const mine = ++wish.current;
    setBusy(true);
    try {
      let code = coded.current;
      if (code?.picture !== picture || code.tokenizer !== tokenizer) {
        const start = performance.now();
        const latent = await tokenizer.encode(picture);
        code = { picture, tokenizer, latent, encodeMs: performance.now() - start };
        if (mine !== wish.current) return;
        coded.current = code;
      }
      const start = performance.now();
      const recon = await tokenizer.decode(code.latent, keep === undefined ? {} : { keep });
      const decodeMs = performance.now() - start;
      if (mine !== wish.current) return;
      const scores = { PSNR: psnr(picture, recon), SSIM: ssim(picture, recon) };
      setFailure(undefined);
      setResult({ original: picture, recon, ...code, decodeMs, ...scores });
    } catch (error) {
      if (mine === wish.current) setFailure((error as Error).message);
    } finally {
      if (mine === wish.current) setBusy(false);
    }
  }, [tokenizer, picture, keep]);
  useEffect(() => void compute(), [compute]);

  return { tokenizer, progress, result, isBusy, failure, keep, setKeep };
}

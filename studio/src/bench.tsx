// The picture view: bring a picture, see what the model makes of it, and what that costs.
import { type ChangeEvent, type DragEvent, useEffect, useMemo, useState } from "react";
import type { WebTokenizer } from "vitok/web";
import { aspectOf, Canvas, Compare } from "./compare.js";
import { drawnPicture, openPicture } from "./picture-source.js";
import { differenceOf, principalColours } from "./scores.js";
import { type Result, type Session, useSession } from "./session.js";

const shows = { recon: "Reconstruction", difference: "Difference × 4", latent: "Latent" } as const;
type Show = keyof typeof shows;
const sides = [128, 256, 512, 768];

export function Bench({ url, hasModels }: { url: string | undefined; hasModels: boolean }) {
  const [file, setFile] = useState<Blob>();
  const [side, setSide] = useState(256);
  const [picture, setPicture] = useState<ImageData>();
  const [problem, setProblem] = useState<string>();
  const [isOver, setOver] = useState(false);
  const [show, setShow] = useState<Show>("recon");
  const session = useSession(url, picture);

  useEffect(() => {
    let isGone = false;
    setProblem(undefined);
    if (!file) setPicture(drawnPicture(side));
    else
      openPicture(file, side).then(
        (opened) => isGone || setPicture(opened),
        (error: Error) => isGone || setProblem(error.message),
      );
    return () => {
      isGone = true;
    };
  }, [file, side]);

  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const [dropped] = event.dataTransfer.files;
    if (dropped) setFile(dropped);
  };
  const pick = ({ target }: ChangeEvent<HTMLInputElement>) => {
    if (target.files?.[0]) setFile(target.files[0]);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way; the file button is the first.
    <div
      className={isOver ? "bench awaits" : "bench"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <section className="stage">
        <div className="controls">
          <label className="file">
            Open a picture
            <input type="file" accept="image/*" onChange={pick} />
          </label>
          <span className="hint">or drop one anywhere</span>
          <label>
            <span>Longest side</span>
            <select value={side} onChange={(event) => setSide(Number(event.target.value))}>
              {sides.map((pixels) => (
                <option key={pixels} value={pixels}>
                  {pixels} px
                </option>
              ))}
            </select>
          </label>
          <fieldset>
            <legend>Beside the original</legend>
            {Object.entries(shows).map(([name, label]) => (
              <label key={name}>
                <input
                  type="radio"
                  name="show"
                  checked={show === name}
                  onChange={() => setShow(name as Show)}
                />
                {label}
              </label>
            ))}
          </fieldset>
        </div>
        {session.result ? (
          <View result={session.result} show={show} />
        ) : (
          picture && (
            <div className="frame waiting" style={aspectOf(picture)}>
              <Canvas picture={picture} name="original" />
            </div>
          )
        )}
      </section>
      <Side session={session} hasModels={hasModels} problem={problem} />
    </div>
  );
}

function View({ result, show }: { result: Result; show: Show }) {
  const { original, recon, latent } = result;
  const other = useMemo(() => {
    if (show === "recon") return recon;
    return show === "difference" ? differenceOf(original, recon) : latentPicture(result);
  }, [original, recon, show, result]);
  return (
    <>
      <Compare original={original} other={other} label={shows[show].toLowerCase()} />
      {show === "latent" && (
        <p className="hint">
          One colour a token: the first three principal components of {latent.tokens} tokens of{" "}
          {latent.mean.length / latent.tokens} numbers.
          {latent.tokens !== latent.grid[1] * latent.grid[2] &&
            " They have no places: shown in order."}
        </p>
      )}
    </>
  );
}

/** Tokens as squares over the picture; a code without places is laid out row by row. */
function latentPicture({ original, latent }: Result): ImageData {
  const { tokens, grid, mean } = latent;
  const hasPlaces = tokens === grid[1] * grid[2];
  const columns = hasPlaces ? grid[2] : Math.ceil(Math.sqrt(tokens));
  const rows = hasPlaces ? grid[1] : Math.ceil(tokens / columns);
  const colours = principalColours(mean, tokens);
  const { width, height } = original;
  const picture = new ImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const token = Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width);
      const at = 4 * (y * width + x);
      picture.data.set(
        token < tokens ? colours.subarray(3 * token, 3 * token + 3) : [128, 128, 128],
        at,
      );
      picture.data[at + 3] = 255;
    }
  return picture;
}

interface SideProps {
  readonly session: Session;
  readonly hasModels: boolean;
  readonly problem: string | undefined;
}

function Side({ session, hasModels, problem }: SideProps) {
  const { tokenizer, progress, result, isBusy, failure } = session;
  const trouble = problem ?? failure;
  const share = progress?.total ? progress.received / progress.total : 0;
  return (
    <aside>
      <output
        className="state"
        data-state={trouble ? "failed" : tokenizer && !isBusy && result ? "ready" : "busy"}
      >
        {trouble ??
          (!hasModels
            ? "No model is served. Start with one: npx vitok studio MODEL"
            : !tokenizer
              ? `Loading the model: ${Math.round(share * 100)} % of ${((progress?.total ?? 0) / 1e6).toFixed(1)} MB`
              : isBusy
                ? "Computing"
                : "Ready")}
      </output>
      {!tokenizer && hasModels && <progress value={share} aria-label="Download of the model" />}
      {result && <Scores result={result} tokenizer={tokenizer} />}
      {result && tokenizer?.config.maskable && (
        <Keep session={session} tokens={result.latent.tokens} />
      )}
    </aside>
  );
}

function Scores({ result, tokenizer }: { result: Result; tokenizer: WebTokenizer | undefined }) {
  const { original, latent, PSNR, SSIM, encodeMs, decodeMs } = result;
  const size = latent.mean.length;
  const ms = (value: number) => `${Math.round(value)} ms`;
  const backend = tokenizer?.backend;
  const rows: [name: string, value: string, meaning: string][] = [
    ["PSNR", `${PSNR.toFixed(2)} dB`, "how close, on average; 30 and more is good"],
    ["SSIM", SSIM?.toFixed(4) ?? "-", "how alike the structure is; 1 is the same"],
    [
      "E",
      size.toLocaleString("en"),
      `numbers in the latent: ${latent.tokens} tokens of ${size / latent.tokens}`,
    ],
    [
      "Compression",
      `${((3 * original.width * original.height) / size).toFixed(1)} ×`,
      "colour values for each of them",
    ],
    ["Size", `${original.width} × ${original.height}`, "pixels"],
    [
      "Encode",
      ms(encodeMs),
      backend?.name === "webgpu"
        ? "on the graphics processor"
        : `WebAssembly, ${backend?.threads} threads`,
    ],
    ["Decode", ms(decodeMs), "the same"],
  ];
  return (
    <dl>
      {rows.map(([name, value, meaning]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd data-score={name}>{value}</dd>
          <dd className="hint">{meaning}</dd>
        </div>
      ))}
    </dl>
  );
}

function Keep({ session, tokens }: { session: Session; tokens: number }) {
  const kept = Math.min(session.keep ?? tokens, tokens);
  return (
    <label className="keep">
      <span>
        Kept tokens: <b>{kept}</b> of {tokens}
      </span>
      <input
        type="range"
        min="0"
        max="1000"
        value={Math.round((1000 * Math.log(kept)) / Math.log(tokens))}
        onChange={(event) =>
          session.setKeep(Math.max(1, Math.round(tokens ** (Number(event.target.value) / 1000))))
        }
      />
    </label>
  );
}

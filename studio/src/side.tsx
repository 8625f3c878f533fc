// What a model's session has to say beside the picture: its state, the scores of the frame that is shown, kept tokens.
import { labelOf } from "./models.js";
import type { Result, Session } from "./session.js";

interface SideProps {
  readonly session: Session;
  readonly frame: number;
  readonly hasModels: boolean;
  readonly problem: string | undefined;
}

export function Side({ session, frame, hasModels, problem }: SideProps) {
  const { model, tokenizer, progress, result, busy, failure } = session;
  const trouble = problem ?? failure;
  const share = progress?.total ? progress.received / progress.total : 0;
  const megabytes = ((progress?.total ?? 0) / 1e6).toFixed(1);
  return (
    <aside>
      {model && <h2>{labelOf(model)}</h2>}
      <output
        className="state"
        data-state={trouble ? "failed" : tokenizer && !busy && result ? "ready" : "busy"}
      >
        {trouble ??
          (!hasModels
            ? "No model is served. Start with one: npx vitok studio MODEL"
            : !tokenizer
              ? `Loading the model: ${Math.round(share * 100)} % of ${megabytes} MB`
              : (busy ?? "Ready"))}
      </output>
      {!tokenizer && hasModels && <progress value={share} aria-label="Download of the model" />}
      {result?.originals[frame] && (
        <Scores result={result} frame={frame} where={tokenizer?.where ?? ""} />
      )}
      {result && tokenizer?.maskable && (
        <Keep session={session} tokens={result.latents[0]!.tokens} />
      )}
    </aside>
  );
}

function Scores({ result, frame, where }: { result: Result; frame: number; where: string }) {
  const { originals, latents, PSNR, SSIM, encodeMs, decodeMs } = result;
  const { width, height } = originals[frame]!;
  const isClip = originals.length > 1;
  const size = latents.reduce((sum, { mean }) => sum + mean.length, 0);
  const tokens = latents.reduce((sum, latent) => sum + latent.tokens, 0);
  const values = 3 * width * height * originals.length;
  const ms = (value: number) => `${Math.round(value)} ms`;
  const mean = PSNR.reduce((sum, value) => sum + value, 0) / PSNR.length;
  const rows: [name: string, value: string, meaning: string][] = [
    [
      "PSNR",
      `${PSNR[frame]!.toFixed(2)} dB`,
      isClip
        ? `of this frame; ${mean.toFixed(2)} dB over all`
        : "how close, on average; 30 and more is good",
    ],
    ["SSIM", SSIM[frame]?.toFixed(4) ?? "-", "how alike the structure is; 1 is the same"],
    ["E", size.toLocaleString("en"), `numbers in the latent: ${tokens} tokens of ${size / tokens}`],
    ["Compression", `${(values / size).toFixed(1)} ×`, "colour values for each of them"],
    [
      "Size",
      `${isClip ? `${originals.length} × ` : ""}${width} × ${height}`,
      isClip ? "frames and pixels" : "pixels",
    ],
    ["Encode", ms(encodeMs), where],
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

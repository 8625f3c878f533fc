// The picture view: bring a picture or clip, see what one model or two make of it, and what that costs.
import { type ChangeEvent, type DragEvent, useEffect, useState } from "react";
import { aspectOf, Canvas, Compare, type Place } from "./compare.js";
import { FramePicker } from "./frame-picker.js";
import { latentPicture } from "./latent-picture.js";
import { labelOf, type StudioModel } from "./models.js";
import { drawnPicture, openFile } from "./picture-source.js";
import { differenceOf } from "./scores.js";
import { type Frames, type Result, type Session, useSession } from "./session.js";
import { Side } from "./side.js";

const shows = { recon: "Reconstruction", difference: "Difference × 4", latent: "Latent" } as const;
type Show = keyof typeof shows;
const sides = [128, 256, 512, 768];

interface BenchProps {
  readonly models: readonly StudioModel[] | undefined;
  readonly model: StudioModel | undefined;
}

export function Bench({ models, model }: BenchProps) {
  const [file, setFile] = useState<Blob>();
  const [side, setSide] = useState(256);
  const { frames, problem } = useFrames(file, side);
  const [index, setIndex] = useState(0);
  const [isOver, setOver] = useState(false);
  const [show, setShow] = useState<Show>("recon");
  const [place, setPlace] = useState<Place>({ share: 0.5, spot: undefined });
  const move = (change: Partial<Place>) => setPlace((before) => ({ ...before, ...change }));
  const [otherName, setOther] = useState("");
  const other = models?.find((each) => labelOf(each) === otherName && each !== model);
  const sessions = [useSession(model, frames), useSession(other, other && frames)];
  const shown = other ? sessions : sessions.slice(0, 1);
  const frame = Math.min(index, (frames?.length ?? 1) - 1);

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
      className={`bench${isOver ? " awaits" : ""}${other ? " two" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <div className="controls">
        <label className="file">
          Open a picture or clip
          <input type="file" accept="image/*,video/*" onChange={pick} />
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
        {models && models.length > 1 && (
          <label>
            <span>Beside it</span>
            <select
              value={other ? labelOf(other) : ""}
              onChange={(event) => setOther(event.target.value)}
            >
              <option value="">no other model</option>
              {models.map((each) => (
                <option key={labelOf(each)} disabled={each === model}>
                  {labelOf(each)}
                </option>
              ))}
            </select>
          </label>
        )}
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
        {frames && frames.length > 1 && (
          <FramePicker count={frames.length} index={frame} onPick={setIndex} />
        )}
      </div>
      {shown.map((session, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: first and second model are their places.
        <div className="lane" key={i}>
          <Stage {...{ session, frames, frame, show, place }} onMove={move} />
          <Side {...{ session, frame, problem }} hasModels={models?.length !== 0} />
        </div>
      ))}
    </div>
  );
}

/** The frames of a file, or the drawn picture while there is none. */
function useFrames(file: Blob | undefined, side: number) {
  const [frames, setFrames] = useState<Frames>();
  const [problem, setProblem] = useState<string>();
  useEffect(() => {
    let isGone = false;
    setProblem(undefined);
    if (!file) setFrames([drawnPicture(side)]);
    else
      openFile(file, side).then(
        (opened) => isGone || setFrames(opened),
        (error: Error) => isGone || setProblem(error.message),
      );
    return () => {
      isGone = true;
    };
  }, [file, side]);
  return { frames, problem };
}

interface StageProps {
  readonly session: Session;
  readonly frames: Frames | undefined;
  readonly frame: number;
  readonly show: Show;
  readonly place: Place;
  readonly onMove: (change: Partial<Place>) => void;
}

function Stage({ session: { model, result }, frames, frame, show, place, onMove }: StageProps) {
  const picture = frames?.[frame];
  if (!result?.originals[frame])
    return (
      <section className="stage">
        {picture && (
          <div className="frame waiting" style={aspectOf(picture)}>
            <Canvas picture={picture} name="original" />
          </div>
        )}
      </section>
    );
  return (
    <section className="stage" aria-label={model && labelOf(model)}>
      <Compare
        original={result.originals[frame]}
        other={otherOf(result, frame, show)}
        label={shows[show].toLowerCase()}
        {...{ place, onMove }}
      />
      {show === "latent" && <LatentHint result={result} frame={frame} />}
    </section>
  );
}

/** Made once for each result: moving the slider asks again and again. */
const made = new WeakMap<Result, Map<string, ImageData>>();

function otherOf(result: Result, frame: number, show: Show): ImageData {
  if (show === "recon") return result.recons[frame]!;
  const known = made.get(result) ?? new Map<string, ImageData>();
  made.set(result, known);
  const key = `${show} ${frame}`;
  const original = result.originals[frame]!;
  const picture =
    known.get(key) ??
    (show === "difference"
      ? differenceOf(original, result.recons[frame]!)
      : latentPicture(result, frame));
  known.set(key, picture);
  return picture;
}

function LatentHint({ result, frame }: { result: Result; frame: number }) {
  const { tokens, mean, grid } = result.latents[frame] ?? result.latents[0]!;
  return (
    <p className="hint">
      One colour a token: the first three principal components of {tokens} tokens of{" "}
      {mean.length / tokens} numbers.
      {tokens !== grid[0] * grid[1] * grid[2] && " They have no places: shown in order."}
    </p>
  );
}

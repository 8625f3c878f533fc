// Two pictures under one slider, with a magnifier that shows the same place of both. Pointer, touch and arrow keys. Where the
// slider and the magnifier are is the caller's, so that several models move together.
import { type CSSProperties, type PointerEvent, useEffect, useRef } from "react";

/** Where slider and magnifier are, as shares of the picture. */
export interface Place {
  readonly share: number;
  readonly spot: { readonly x: number; readonly y: number } | undefined;
}

interface CompareProps {
  readonly original: ImageData;
  readonly other: ImageData;
  readonly label: string;
  readonly place: Place;
  readonly onMove: (change: Partial<Place>) => void;
}

const zoom = 6;
const lens = 132; // CSS pixels

export function Compare({ original, other, label, place, onMove }: CompareProps) {
  const frame = useRef<HTMLDivElement>(null);
  const { share, spot } = place;

  const follow = (event: PointerEvent) => {
    const box = frame.current!.getBoundingClientRect();
    const x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const y = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    onMove({
      ...(event.buttons && { share: x }),
      spot: event.pointerType === "mouse" ? { x, y } : undefined,
    });
  };

  return (
    <div className="compare">
      <div
        className="frame"
        ref={frame}
        style={aspectOf(original)}
        onPointerMove={follow}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          follow(event);
        }}
        onPointerLeave={() => onMove({ spot: undefined })}
      >
        <Canvas picture={original} name="original" />
        <div className="beside" style={{ clipPath: `inset(0 0 0 ${share * 100}%)` }}>
          <Canvas picture={other} name="other" />
        </div>
        <div className="bar" style={{ left: `${share * 100}%` }} aria-hidden="true" />
        <span className="tag left">original</span>
        <span className="tag right">{label}</span>
      </div>
      <input
        type="range"
        min="0"
        max="100"
        step="1"
        value={Math.round(share * 100)}
        onChange={(event) => onMove({ share: Number(event.target.value) / 100 })}
        aria-label={`How much of the original is seen; the rest is the ${label}`}
      />
      <div className="lenses" aria-hidden="true">
        <Lens picture={original} spot={spot} />
        <Lens picture={other} spot={spot} />
        <p>{spot ? `the same place, ${zoom} times larger` : "move over the picture to magnify"}</p>
      </div>
    </div>
  );
}

/** The frame's shape, for the style sheet. */
export const aspectOf = ({ width, height }: ImageData) =>
  ({ "--aspect": width / height }) as CSSProperties;

/** A picture at its own resolution. */
export function Canvas({ picture, name }: { picture: ImageData; name: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    canvas.current!.getContext("2d")!.putImageData(picture, 0, 0);
  }, [picture]);
  return (
    <canvas ref={canvas} width={picture.width} height={picture.height} data-picture={name}>
      {name}
    </canvas>
  );
}

function Lens({
  picture,
  spot,
}: {
  picture: ImageData;
  spot: { x: number; y: number } | undefined;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    context.clearRect(0, 0, lens, lens);
    if (!spot) return;
    const side = lens / zoom;
    const left = Math.round(spot.x * picture.width - side / 2);
    const top = Math.round(spot.y * picture.height - side / 2);
    const whole = new OffscreenCanvas(picture.width, picture.height);
    whole.getContext("2d")!.putImageData(picture, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(whole, left, top, side, side, 0, 0, lens, lens);
  }, [picture, spot]);
  return <canvas ref={canvas} width={lens} height={lens} className="lens" />;
}

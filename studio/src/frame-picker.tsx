// Which frame of a clip is looked at, and a button that plays them.
import { useEffect, useState } from "react";
import { clipRate } from "./picture-source.js";

interface FramePickerProps {
  readonly count: number;
  readonly index: number;
  readonly onPick: (index: number) => void;
}

export function FramePicker({ count, index, onPick }: FramePickerProps) {
  const [isPlaying, setPlaying] = useState(false);
  useEffect(() => {
    if (!isPlaying) return;
    const timer = setTimeout(() => onPick((index + 1) % count), 1000 / clipRate);
    return () => clearTimeout(timer);
  }, [isPlaying, index, count, onPick]);
  return (
    <div className="frames">
      <button type="button" onClick={() => setPlaying(!isPlaying)} aria-pressed={isPlaying}>
        {isPlaying ? "Pause" : "Play"}
      </button>
      <label>
        <span>
          Frame <b>{index + 1}</b> of {count}
        </span>
        <input
          type="range"
          min="0"
          max={count - 1}
          value={index}
          onChange={(event) => {
            setPlaying(false);
            onPick(Number(event.target.value));
          }}
        />
      </label>
    </div>
  );
}

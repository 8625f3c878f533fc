// Keeps decoded clips in memory up to a limit, so that the second epoch of a small set decodes nothing.
// It only ever fills: what no longer fits is decoded each time, which costs time but changes nothing.
import type { Clip } from "../media/clip.js";

export class ClipCache {
  readonly #clips = new Map<number, Clip>();
  readonly #loading = new Map<number, Promise<Clip>>();
  #freeBytes: number;

  constructor(limitMiB: number) {
    this.#freeBytes = limitMiB * 2 ** 20;
  }

  /** The clip of this key; `load` runs where it is neither held nor on its way. */
  async get(key: number, load: () => Promise<Clip>): Promise<Clip> {
    const known = this.#clips.get(key) ?? this.#loading.get(key);
    if (known) return known;
    const loading = load();
    this.#loading.set(key, loading);
    try {
      const clip = await loading;
      this.#hold(key, clip);
      return clip;
    } finally {
      this.#loading.delete(key);
    }
  }

  clear(): void {
    this.#clips.clear();
    this.#freeBytes = 0;
  }

  #hold(key: number, clip: Clip): void {
    if (clip.bytes.length > this.#freeBytes) return;
    this.#freeBytes -= clip.bytes.length;
    this.#clips.set(key, clip);
  }
}

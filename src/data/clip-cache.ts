// Keeps decoded clips in memory up to a limit, so that the second epoch of a small set decodes nothing.
// It only ever fills: what no longer fits is decoded each time, which costs time but changes nothing.
import type { Clip } from "../media/clip.js";

export class ClipCache {
  readonly #clips = new Map<number, Clip>();
  #freeBytes: number;

  constructor(limitMiB: number) {
    this.#freeBytes = limitMiB * 2 ** 20;
  }

  async get(key: number, load: () => Promise<Clip>): Promise<Clip> {
    const held = this.#clips.get(key);
    if (held) return held;
    const clip = await load();
    const length = clip.bytes.length;
    if (length <= this.#freeBytes && !this.#clips.has(key)) {
      this.#freeBytes -= length;
      this.#clips.set(key, clip);
    }
    return clip;
  }

  clear(): void {
    this.#clips.clear();
    this.#freeBytes = 0;
  }
}

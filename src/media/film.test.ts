// Clips as film strips. References: the definition of a window, by the animation reader that shares it, on frames that carry
// their number; and for quality each frame encoded alone, exact.
import { expect, it } from "vitest";
import { numberedClip, numbersOf } from "../../test/video-files.js";
import { encodeAnimation, readAnimation } from "./animation.js";
import { createClip, frameOf } from "./clip.js";
import { encodeFilm, parseFilm, readFilm, stripsOf } from "./film.js";
import { readImage } from "./image.js";

const quality = 90;

/** Colour noise: no frame resembles its neighbours. */
function noise(frames: number, height: number, width: number) {
  let state = 1;
  const bytes = Uint8Array.from({ length: frames * height * width * 3 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state % 256;
  });
  return createClip(bytes, { frames, height, width });
}

it("gives windows of any rate and place as an animation does, and reads only the strips they touch", async () => {
  const clip = numberedClip(30, { height: 24, width: 20 });
  const { film, strips } = await encodeFilm(clip, { fps: 10, quality });
  expect(film).toEqual({ fps: 10, frames: 30, height: 24, width: 20, stripFrames: 16 });
  expect([strips.length, stripsOf(film)]).toEqual([2, 2]);
  const animation = await encodeAnimation(clip, { fps: 10 });
  const touched: number[][] = [];
  for (const fps of [2.5, 5, 10, 20])
    for (const at of [0, 0.13, 0.5, 1])
      for (const frames of [1, 4, 16]) {
        const asked: number[] = [];
        const read = async (strip: number) => strips[asked[asked.push(strip) - 1]!]!;
        const window = { frames, fps };
        const part = await readFilm(film, read, { name: "film", window, at });
        const wanted = numbersOf(await readAnimation(animation, { window, at }));
        expect(numbersOf(part)).toEqual(wanted);
        expect(asked).toEqual([...new Set(wanted.map((k) => Math.floor(k / 16)))]);
        touched.push(asked);
      }
  expect(new Set(touched.map(String))).toEqual(new Set(["0", "1", "0,1"]));
});

it("keeps each frame as if it were encoded alone, whatever its height", async () => {
  for (const height of [16, 21]) {
    const clip = noise(19, height, 13);
    const { film, strips } = await encodeFilm(clip, { fps: 8, quality });
    const whole = await readFilm(film, async (strip) => strips[strip]!, { name: "film" });
    expect(whole).toMatchObject({ frames: 19, height, width: 13 });
    for (const k of [0, 1, 15, 16, 18]) {
      const alone = await encodeFilm(frameOf(clip, k), { fps: 8, quality });
      const picture = await readImage(alone.strips[0]!); // a strip is a picture
      const frame = frameOf(whole, k).bytes;
      expect(frame).toEqual(picture.bytes.subarray(0, frame.length));
    }
  }
});

it("keeps strips within the rows that JPEG has", async () => {
  const clip = numberedClip(9, { height: 9000, width: 1 });
  const { film, strips } = await encodeFilm(clip, { fps: 1, quality });
  expect([film.stripFrames, strips.length]).toEqual([7, 2]);
  const part = await readFilm(film, async (strip) => strips[strip]!, { name: "film" });
  expect(numbersOf(part)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

it("names the strip that is damaged, cut short or too small", async () => {
  const { film, strips } = await encodeFilm(noise(20, 32, 32), { fps: 8, quality });
  const [first, second] = strips as [Buffer, Buffer];
  const flipped = Buffer.from(first).fill(0xff, 4000, 4040);
  const readings: [Buffer, Buffer, string][] = [
    [flipped, second, "film, strip 0"],
    [first, second.subarray(0, second.length - 100), "film, strip 1"],
    [second, second, "film, strip 0"],
    [first, Buffer.from("no picture"), "film, strip 1"],
  ];
  for (const [one, two, name] of readings) {
    const reading = readFilm(film, async (strip) => [one, two][strip]!, { name: "film" });
    await expect(reading).rejects.toThrow(`${name}: cannot be read as frames`);
  }
  const huge = readFilm({ ...film, height: 1e9 }, async () => first, { name: "film" });
  await expect(huge).rejects.toThrow("film, strip 0: cannot be read as frames");
});

it("knows a description from other JSON", async () => {
  const { film } = await encodeFilm(noise(2, 8, 8), { fps: 7.5, quality });
  expect(parseFilm(JSON.stringify(film))).toEqual(film);
  for (const text of ['{"fps": 8, "frames": 16}', "[]", "{", JSON.stringify({ ...film, fps: 0 })])
    expect(parseFilm(text)).toBeUndefined();
});

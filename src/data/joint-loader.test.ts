// Pictures and videos in one run, on sources made here: what each step sees, and an exact resume. No reference.
import { expect, it } from "vitest";
import { createClip } from "../media/clip.js";
import type { Batch } from "./batch.js";
import { JointLoader, stillClips } from "./joint-loader.js";
import { Loader } from "./loader.js";
import type { Source } from "./source.js";

const set = (name: string, length: number, frames: number): Source => ({
  ...{ name, length, classes: [] },
  load: async (index) =>
    createClip(new Uint8Array(frames * 8 * 8 * 3).fill(index), { frames, height: 8, width: 8 }),
  id: (index) => `${name}-${index}`,
  label: () => undefined,
});

const videos = set("videos", 5, 4);
const pictures = stillClips(set("pictures", 7, 1), 2);
const options = { batchSize: 2, size: 8, augment: true, seed: 1 } as const;

function open(share: number, startSample = 0): JointLoader {
  const loader = (source: Source) => (start: number) =>
    new Loader(source, { ...options, startSample: start });
  const joint = { share, batchSize: 2, startSample };
  return new JointLoader({ videos: loader(videos), pictures: loader(pictures) }, joint);
}

async function take(loader: JointLoader, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let i = 0; i < count; i++) batches.push((await loader.next())!);
  loader.close();
  return batches;
}

it("sees pictures in the share asked for, as clips of one tubelet of equal frames", async () => {
  const batches = await take(open(0.25), 8);
  expect(batches.map(({ shape }) => shape[1])).toEqual([4, 4, 4, 2, 4, 4, 4, 2]);
  const [batch] = batches.filter(({ shape }) => shape[1] === 2);
  const length = batch!.bytes.length / 4;
  expect(batch!.bytes.slice(0, length)).toEqual(batch!.bytes.slice(length, 2 * length));
  const keys = batches.flatMap(({ indices }) => indices);
  expect(new Set(keys).size).toBe(keys.length);
});

it("goes on from one number as if it had never stopped", async () => {
  const whole = await take(open(0.6), 9);
  for (const step of [1, 4, 7]) {
    const [next, after] = await take(open(0.6, 2 * step), 2);
    expect(next).toEqual(whole[step]);
    expect(after).toEqual(whole[step + 1]);
  }
});

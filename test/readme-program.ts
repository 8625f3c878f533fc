// The README's program, and a folder in which it can run: a model where the demo would have left its own, and a picture.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawPicture } from "../src/data/drawn.js";
import { writeImage } from "../src/media/image.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";

const readmePath = fileURLToPath(new URL("../README.md", import.meta.url));

export const readme = readFileSync(readmePath, "utf8");

/** The first block of JavaScript in the README. */
export const readmeProgram = /^```js\n([\s\S]+?)^```/m.exec(readme)?.[1] ?? "";

/** Height and width of the picture: no multiple of the patch, as pictures of users are. */
export const pictureSize = 50;

/** Puts `program.mjs` and what it reads into a folder. */
export async function prepareProgram(folder: string, program: string): Promise<void> {
  const tokenizer = Tokenizer.create("Tiw48d2h3-Tiw48d2h3/8");
  mkdirSync(join(folder, "runs/demo"), { recursive: true });
  tokenizer.save(join(folder, "runs/demo/model"));
  tokenizer.dispose();
  await writeImage(join(folder, "photo.jpg"), drawPicture([1], pictureSize));
  writeFileSync(join(folder, "program.mjs"), program);
}

// The README's program, and a folder in which it can run: the starter model beside it, as in a clone, and a picture.

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawPicture } from "../src/data/drawn.js";
import { writeImage } from "../src/media/image.js";

const pathOf = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

export const readme = readFileSync(pathOf("README.md"), "utf8");

/** The first block of JavaScript in the README. */
export const readmeProgram = /^```js\n([\s\S]+?)^```/m.exec(readme)?.[1] ?? "";

/** Height and width of the picture: no multiple of the patch, as pictures of users are. */
export const pictureSize = 50;

/** Puts `program.mjs` and what it reads into a folder. */
export async function prepareProgram(folder: string, program: string): Promise<void> {
  cpSync(pathOf("models/starter"), join(folder, "models/starter"), { recursive: true });
  await writeImage(join(folder, "photo.jpg"), drawPicture([1], pictureSize));
  writeFileSync(join(folder, "program.mjs"), program);
}

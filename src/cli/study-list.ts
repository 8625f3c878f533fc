// `vitok study list`: the studies that come with the package, and what each scale of them asks for.
import { loadStudy, studyNames } from "../study/manifest.js";
import { type Output, styled } from "./output.js";

export function list(output: Output): number {
  const studies = studyNames().map((name) => loadStudy(name));
  for (const { name, title, paper, scales } of studies) {
    output.print(`${styled("bold", name.padEnd(8))} ${title} (${paper.place})`);
    for (const [scale, level] of Object.entries(scales))
      output.print(`${" ".repeat(9)}${scale.padEnd(6)} ${level?.about}`);
  }
  output.print("\nStart one: vitok study run fig3 --scale small --set data.path=DIR");
  output.result({
    studies: studies.map(({ name, title, question, paper, scales }) => ({
      ...{ name, title, question, place: paper.place },
      scales: Object.fromEntries(
        Object.entries(scales).map(([scale, level]) => [scale, level?.about]),
      ),
    })),
  });
  return 0;
}

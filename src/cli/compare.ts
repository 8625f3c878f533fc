// `vitok compare A.json B.json`: scores that evaluate and metrics reported, side by side; unlike protocols are refused.

import { compareScores } from "../evaluate/compare.js";
import { readScores } from "../evaluate/score-file.js";
import { openOutput, styled, table } from "./output.js";

export async function run(
  [first = "", second = ""]: readonly string[],
  options: { readonly json?: boolean },
): Promise<number> {
  const output = openOutput(options);
  const { scores, notes } = compareScores(readScores(first), readScores(second));
  const shown = (value: number | null) => value?.toFixed(4);
  const signed = (value: number | null) => value !== null && (value > 0 ? "+" : "") + shown(value);
  output.print(
    table(
      scores.map(({ name, a, b, difference }) => ({
        ...{ metric: name, A: shown(a), B: shown(b), "B - A": signed(difference) || undefined },
      })),
    ),
  );
  const unlike = Object.entries(notes);
  if (unlike.length) output.print(`\n${styled("bold", "differs, and may")}`);
  for (const [name, [a, b]] of unlike) output.print(`  ${name}: ${a ?? "-"} and ${b ?? "-"}`);
  output.result({ a: first, b: second, scores, notes });
  return 0;
}

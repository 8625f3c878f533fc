// The entry of `vitok study` in the command table (commands.ts).
import {
  type Command,
  duration,
  json,
  oneOf,
  part,
  several,
  wholeNumber,
  words,
} from "./command-options.js";

export const studyCommand: Command = {
  name: "study",
  args: "<action> [names...]",
  summary: "the paper's studies: list, run NAME..., report NAME...",
  options: [
    {
      flags: "--scale <name>",
      summary: "paper, small (default) or mini",
      parse: oneOf("paper", "small", "mini"),
    },
    {
      flags: "--budget <time>",
      summary: "instead: the largest scale that fits, such as 30min",
      parse: duration,
    },
    { flags: "--parallel <n>", summary: "so many steps at a time", parse: wholeNumber },
    {
      flags: "--devices <names>",
      summary:
        "such as cuda:0,cuda:1: steps are shared out over them (default: the first GPU, or cpu)",
      parse: words,
    },
    {
      flags: "--nproc <n>",
      summary: "each training in n processes, a GPU each",
      parse: wholeNumber,
    },
    { flags: "--seeds <n>", summary: "runs of each cell, for intervals", parse: wholeNumber },
    { flags: "--only <cells>", summary: "these cells, such as p16-c4,p8-c16", parse: words },
    {
      flags: "--cell <i/n>",
      summary: "the i-th of n jobs that share the cells (default: the place in a Slurm array)",
      parse: part,
    },
    {
      flags: "--set <key=value>",
      summary:
        "override a value of all cells (repeatable): train.steps, evaluate.data, dit.train.steps",
      ...several,
    },
    { flags: "--out <dir>", summary: "steps, results and pages", default: "runs/studies" },
    { flags: "--dry-run", summary: "print cells and estimated hours; run nothing" },
    json,
  ],
  examples: [
    "vitok study run fig3 --scale mini",
    "vitok study run fig3 fig9 --set data.path=photos/train --set evaluate.data=photos/val",
    "vitok study report fig3",
  ],
};

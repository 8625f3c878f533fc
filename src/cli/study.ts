// `vitok study list | run NAME... | report NAME...`: figures and tables of the paper, each by one command. What runs is study/.
import { ConfigError } from "../config-error.js";
import { openOutput } from "./output.js";
import type { StudyOptions } from "./study-run.js";

const usageError = 2;

export async function run(
  [action = "", names = []]: readonly [string?, string[]?],
  options: StudyOptions,
): Promise<number> {
  const output = openOutput(options);
  if (action === "list") return (await import("./study-list.js")).list(output);
  if (!["run", "report"].includes(action) || !names.length) {
    output.log(
      action === "run" || action === "report"
        ? `Expected the name of a study for study ${action}, received none. See: vitok study list`
        : `Expected list, run or report for study, received "${action}".`,
    );
    return usageError;
  }
  const { runStudies, reportStudies } = await import("./study-run.js");
  if (new Set(names).size < names.length)
    throw new ConfigError(`Expected each study once, received ${names.join(" ")}.`);
  return action === "run" ? runStudies(names, options) : reportStudies(names, options);
}

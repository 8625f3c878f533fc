// The `vitok` command: reads the line, loads the one command asked for, turns errors into exit codes.
// What the commands are is commands.ts; what each does is the file of its name.

import { Command as Commander, CommanderError, Option } from "commander";
import { version } from "../version.js";
import { type Argument, type Command, type CommandModule, commands } from "./commands.js";

const exitCode = { failed: 1, usage: 2 } as const;

/** Runs one command line, without node and script. Resolves to the exit status. */
export async function main(line: readonly string[]): Promise<number> {
  let status = 0;
  const program = new Commander("vitok")
    .description("Vision Transformer auto-encoders for images and video, on libtorch.")
    .version(version)
    .exitOverride()
    .showHelpAfterError("(add --help for the options)");
  for (const command of commands) {
    addCommand(program, command, (code) => {
      status = code;
    });
  }
  try {
    await program.parseAsync(line, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCode.usage;
    process.stderr.write(`${explain(error)}\n`);
    return exitCode.failed;
  }
}

function addCommand(program: Commander, command: Command, done: (status: number) => void): void {
  const child = program
    .command(`${command.name} ${command.args}`.trim())
    .description(command.summary)
    .action(async (...received: unknown[]) => {
      const args = received.slice(0, -2).filter((value) => value !== undefined);
      const module = (await import(`./${command.name}.js`)) as CommandModule;
      const status = await module.run(args as Argument[], child.opts());
      done(typeof status === "number" ? status : 0);
    });
  for (const { flags, summary, parse, required, default: initial } of command.options) {
    const option = new Option(flags, summary).makeOptionMandatory(required ?? false);
    if (parse) option.argParser(parse);
    if (initial !== undefined) option.default(initial, shown(initial));
    child.addOption(option);
  }
  if (command.examples)
    child.addHelpText("after", `\nFor example:\n  ${command.examples.join("\n  ")}`);
}

/** A default as the help prints it: an empty list has nothing to say. */
function shown(initial: unknown): string | undefined {
  return Array.isArray(initial) ? initial.join(",") || "none" : undefined;
}

/** The message alone; the stack where VITOK_DEBUG is set. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (process.env.VITOK_DEBUG) return error.stack ?? error.message;
  return error.message || error.name;
}

// `vitok runs | head` closes the pipe early: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await main(process.argv.slice(2));

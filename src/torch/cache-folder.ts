// The folder of this user for what can be made again: libtorch, builds, compiled kernels. scripts/setup/paths.mjs has the
// same rule, for before anything is compiled.
import { homedir } from "node:os";
import { join } from "node:path";

export function cacheFolder(): string {
  return (
    process.env.VITOK_CACHE ||
    join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vitok")
  );
}

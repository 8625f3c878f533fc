// What a shared file says of other files, without the way to them on the machine that wrote it.
import { basename } from "node:path";

/** A copy of plain data, paths that lead out of a project by their last name: `/home/me/photos` -> `photos`. */
export function portable<T>(value: T): T {
  if (typeof value === "string") return (/^(\.\.|~)?\//.test(value) ? basename(value) : value) as T;
  if (Array.isArray(value)) return value.map(portable) as T;
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, portable(inner)]);
  return Object.fromEntries(entries) as T;
}

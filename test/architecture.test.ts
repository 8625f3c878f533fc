// The rules of the layout that a machine can check, on the sources themselves: imports point one way, files stay short,
// native/ is a dumb pipe, and help starts without the engine.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What a folder of src/ may import directly; what those may import it may too. Siblings do not know each other. */
const below: Record<string, string[]> = {
  torch: [],
  nn: ["torch"],
  formats: ["nn"],
  perceptual: ["formats"], // their published weights are PyTorch's files
  tokenizer: ["nn"],
  generator: ["nn"],
  media: [],
  data: ["media", "nn"], // bytes to pixels is a kernel
  losses: ["formats", "perceptual", "tokenizer", "generator"],
  metrics: ["formats", "perceptual", "tokenizer", "generator"],
  evaluate: ["losses", "metrics", "data", "codec"],
  train: ["evaluate"],
  study: ["train"],
  codec: ["tokenizer", "generator", "media", "data"],
  serve: ["codec", "client"], // the studio's server asks a service
  web: [], // for browsers: no engine
  client: [], // likewise
  export: ["tokenizer", "generator"],
  cli: ["study", "serve", "export"],
};

/** Files below a folder of the repository with one of the endings, as paths from the root. */
function filesOf(folder: string, endings: RegExp): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => endings.test(path) && !path.includes("node_modules"))
    .map((path) => join(folder, path))
    .sort();
}

const read = (path: string) => readFileSync(join(root, path), "utf8");
const linesOf = (path: string) => read(path).split("\n").length - 1;
const modules = filesOf("src", /\.ts$/).filter((path) => !path.endsWith(".test.ts"));

/** The specifiers a module imports or re-exports; with `isLoaded` only those that are there when it runs at once. */
function importsOf(path: string, { isLoaded = false } = {}): string[] {
  const statements = read(path).matchAll(
    /^(?:import|export)\s(type\s)?(?:[^;"']*?from\s)?["']([^"']+)["']/gm,
  );
  const fixed = [...statements].filter(([, type]) => !isLoaded || !type).map(([, , name]) => name!);
  const dynamic = isLoaded ? [] : [...read(path).matchAll(/import\(\s*["'`]([^"'`]+)/g)];
  return [...fixed, ...dynamic.map(([, name]) => name!)];
}

/** A relative specifier as a path from the root. */
const resolved = (from: string, specifier: string) =>
  relative(root, join(root, dirname(from), specifier.replace(/\.js$/, ".ts")));

/** `src/nn/rope.ts` -> `nn`; undefined for the files directly under src/. */
const folderOf = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1];

function allowed(folder: string): Set<string> {
  const direct = below[folder] ?? [];
  return new Set([folder, ...direct, ...direct.flatMap((name) => [...allowed(name)])]);
}

describe("imports", () => {
  test.each([...new Set(modules.map(folderOf).filter((folder) => folder !== undefined))])(
    "of src/%s point downwards only",
    (folder) => {
      expect(below, `a folder without a place in the order`).toHaveProperty(folder);
      const wrong = modules
        .filter((path) => folderOf(path) === folder)
        .flatMap((path) =>
          importsOf(path)
            .filter((specifier) => specifier.startsWith("."))
            .map((specifier) => resolved(path, specifier))
            .filter((target) => target === "src/index.ts" || !isBelow(folder, target))
            .map((target) => `${path} -> ${target}`),
        );
      expect(wrong).toEqual([]);
    },
  );

  const isBelow = (folder: string, target: string) => {
    const other = folderOf(target);
    return other === undefined || allowed(folder).has(other);
  };

  test("of the files directly under src/ stay there, the package's own face aside", () => {
    const wrong = modules
      .filter((path) => !folderOf(path) && path !== "src/index.ts")
      .flatMap((path) => importsOf(path).map((specifier) => ({ path, specifier })))
      .filter(
        ({ path, specifier }) => specifier.startsWith(".") && folderOf(resolved(path, specifier)),
      );
    expect(wrong).toEqual([]);
  });

  test("of the addon are made in one place", () => {
    const users = modules.filter((path) =>
      importsOf(path).some((name) => name.includes("binding.js")),
    );
    expect(users.filter((path) => folderOf(path) !== "torch")).toEqual([]);
  });
});

describe("what starts at once", () => {
  /** Everything that is loaded with a module: files and packages. */
  function loadedWith(path: string, seen = new Set<string>()): Set<string> {
    if (seen.has(path)) return seen;
    seen.add(path);
    for (const specifier of importsOf(path, { isLoaded: true }))
      if (specifier.startsWith(".")) loadedWith(resolved(path, specifier), seen);
      else seen.add(specifier);
    return seen;
  }

  test.each(["src/cli/main.ts", "src/cli/info.ts"])(
    "%s loads no engine, schema or codec",
    (path) => {
      const heavy = [...loadedWith(path)].filter((name) =>
        /^src\/(torch|nn)\/|^zod|^sharp|^@observablehq|^linkedom/.test(name),
      );
      expect(heavy).toEqual([]);
    },
  );
});

describe("files", () => {
  const sources = [
    ...["src", "test", "bench", "studio/src"].flatMap((folder) => filesOf(folder, /\.tsx?$/)),
    ...filesOf("scripts", /\.(mjs|ts|py)$/),
    ...filesOf("native", /\.(cc|h|cu)$/),
  ];

  test("have at most 300 lines, those that a script writes aside", () => {
    const isWritten = (path: string) => /^\/\/ .* written by scripts\//.test(read(path));
    expect(sources.filter((path) => linesOf(path) > 300 && !isWritten(path))).toEqual([]);
  });

  test("open by saying what they are", () => {
    const silent = sources.filter((path) => !/^(#!.*\n)?(\/\/ |\/\*\*|"""|# )/.test(read(path)));
    expect(silent).toEqual([]);
  });

  test("are named in kebab-case, and none is a drawer of utilities", () => {
    const odd = sources.filter((path) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      return !/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(name) || /\butil/.test(name);
    });
    expect(odd).toEqual([]);
  });
});

describe("native/", () => {
  const files = filesOf("native", /\.(cc|h|cu)$/);

  test("has under 1,500 lines, kernels aside", () => {
    const lines = files.filter((path) => !/kernels?\b/.test(path)).map(linesOf);
    expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThan(1500);
  });

  test("knows nothing of what a tensor stands for", () => {
    const words = /\b(image|patch|loss|pixel|token|video|frame|latent)(s|es)?\b/gi;
    const found = files.flatMap((path) => {
      const text = read(path)
        .replace(/([a-z])([A-Z])/g, "$1 $2")
        .replaceAll("_", " ");
      return [...text.matchAll(words)].map(([word]) => `${path}: ${word}`);
    });
    expect(found).toEqual([]);
  });
});

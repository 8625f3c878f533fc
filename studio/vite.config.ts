// How the studio is bundled: into dist/studio, which `vitok studio` serves. The libraries come as users get them, from dist.
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The WebAssembly is served from onnxruntime-web itself: 27 MB that the package need not carry. */
const withoutRuntime = (): Plugin => ({
  name: "without-runtime",
  generateBundle(_, bundle) {
    for (const name of Object.keys(bundle)) if (name.endsWith(".wasm")) delete bundle[name];
  },
});

export default defineConfig({
  root: at("."),
  resolve: {
    alias: {
      "vitok/web": at("../dist/web/index.js"),
      "vitok/client": at("../dist/client/index.js"),
    },
  },
  plugins: [withoutRuntime()],
  worker: { format: "es", plugins: () => [withoutRuntime()] },
  build: { outDir: at("../dist/studio"), emptyOutDir: true, target: "es2022" },
});

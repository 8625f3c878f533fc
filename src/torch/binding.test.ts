// The loader against what set-up left in build/: no numbers here, so no tolerance.

import { afterEach, expect, test, vi } from "vitest";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

async function freshBinding() {
  vi.resetModules();
  return import("./binding.js");
}

test("the addon loads and names the libtorch it was built against", async () => {
  const { native } = await freshBinding();
  expect(native().versions().torchBuilt).toMatch(/^2\.\d+\.\d+/);
});

test("the addon is loaded once", async () => {
  const { native } = await freshBinding();
  expect(native()).toBe(native());
});

test("an addon that cannot be loaded is named, with the commands that mend it", async () => {
  vi.stubEnv("VITOK_ADDON", "/nowhere/vitok_torch.node");
  const { native } = await freshBinding();
  expect(native).toThrow(/Expected \/nowhere\/vitok_torch\.node to load/);
  expect(native).toThrow(/Possible solutions:[\s\S]*npx vitok setup/);
});

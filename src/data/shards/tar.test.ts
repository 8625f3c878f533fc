// Listing and writing tar archives. References: archives of Python's tarfile in its three formats (test/fixtures/tar, by
// scripts/make-tar-fixtures.py) and the system's tar; names, sizes and bytes are exact.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { listTar, type TarListing, tarEnd, tarEntry } from "./tar.js";

const root = mkdtempSync(join(tmpdir(), "vitok-tar-"));
afterAll(() => rmSync(root, { recursive: true }));

function list(bytes: Uint8Array): TarListing {
  const path = join(root, "list.tar");
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  try {
    return listTar(fd, bytes.length);
  } finally {
    closeSync(fd);
  }
}

const archive = (files: Record<string, string>): Buffer =>
  Buffer.concat([
    ...Object.entries(files).flatMap(([name, text]) => tarEntry(name, Buffer.from(text))),
    tarEnd,
  ]);

const contents = (bytes: Buffer): Record<string, string> =>
  Object.fromEntries(
    list(bytes).members.map(({ name, offset, size }) => [
      name,
      bytes.toString("utf8", offset, offset + size),
    ]),
  );

describe("listing", () => {
  const short = ["a.jpg", "a.cls", "dir/b.jpg", "empty.txt"];
  const prefixed = [`${"p".repeat(80)}/${"n".repeat(90)}.jpg`];
  const long = [`${"l".repeat(120)}/${"m".repeat(160)}.jpg`, "snö/雪.jpg", "after.jpg"];

  it.each([
    ["ustar", [...short, ...prefixed]],
    ["gnu", [...short, ...prefixed, ...long]],
    ["pax", [...short, ...prefixed, ...long]],
  ])(
    "finds the files of Python's %s archives where they lie, and no folder or link",
    (format, names) => {
      const path = fileURLToPath(
        new URL(`../../../test/fixtures/tar/${format}.tar`, import.meta.url),
      );
      const bytes = readFileSync(path);
      expect(list(bytes).damages).toEqual([]);
      const expected = names.map((name, place) => [
        name,
        name === "empty.txt" ? "" : `${place} ${name} ${".".repeat(400 * place)}`,
      ]);
      expect(contents(bytes)).toEqual(Object.fromEntries(expected));
    },
  );

  it("reads sizes in base 256, as of members above 8 GiB", () => {
    const bytes = archive({ "a.jpg": "x" });
    const size = 9 * 2 ** 30;
    bytes.fill(0, 124, 136);
    bytes[124] = 0x80;
    bytes.writeUIntBE(size, 130, 6);
    const sum = bytes
      .subarray(0, 512)
      .reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    expect(list(bytes).members).toEqual([{ name: "a.jpg", offset: 512, size }]);
  });

  it("goes on after a damaged header and tells where the gap is", () => {
    const bytes = archive({ "a.jpg": "first", "b.jpg": "second", "c.jpg": "third" });
    bytes.fill(0xff, 1024, 1100); // in b's header
    const { members, damages } = list(bytes);
    expect(members.map(({ name }) => name)).toEqual(["a.jpg", "c.jpg"]);
    expect(damages).toEqual(["damaged between bytes 1024 and 2048"]);
  });

  it("lists a member that the archive ends within, and ends at once for what is no archive", () => {
    const whole = archive({ "a.jpg": "x".repeat(900), "b.jpg": "y".repeat(900) });
    const cut = list(whole.subarray(0, 512 + 1024 + 512 + 300));
    expect(cut.members.map(({ name, size }) => [name, size])).toEqual([
      ["a.jpg", 900],
      ["b.jpg", 900],
    ]);
    expect(list(Buffer.alloc(5000, 7)).members).toEqual([]);
    expect(list(Buffer.alloc(100)).members).toEqual([]);
  });

  it("never fails on arbitrary bytes", () => {
    const sound = archive({ "a.jpg": "first", "dir/b.cls": "7" });
    const bytes = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { maxLength: 20 });
    fc.assert(
      fc.property(bytes, (changes) => {
        const damaged = Buffer.from(sound);
        for (const [at, value] of changes) damaged[at] = value;
        for (const { offset, size } of list(damaged).members)
          expect(Math.min(offset, size)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe("writing", () => {
  const files = { "a.jpg": "x", [`${"d".repeat(150)}/é b.jpg`]: "y".repeat(600), "e.cls": "" };

  it("comes back the same", () => {
    expect(contents(archive(files))).toEqual(files);
  });

  it("makes archives that the system's tar unpacks", () => {
    const path = join(root, "written.tar");
    writeFileSync(path, archive(files));
    const { status, stderr } = spawnSync("tar", ["-xf", path, "-C", root], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const [name, text] of Object.entries(files))
      expect(readFileSync(join(root, name), "utf8")).toBe(text);
  });
});

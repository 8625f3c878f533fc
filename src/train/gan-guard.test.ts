// The guard on made-up steps: what it says and does is worked out by hand from its rules (gan-guard.ts). Whole runs:
// test/gan-run.test.ts.
import { describe, expect, test } from "vitest";
import { GanGuard, type GuardNumbers, initialGuard, type Verdict } from "./gan-guard.js";

const settings = { guard: true, strongBelow: 0.1, damageAbove: 1.5, mostRollbacks: 2 };
const steps = 1000; // patience 10

function guarded(options: Partial<typeof settings> = {}) {
  const numbers: GuardNumbers = { ...initialGuard };
  const guard = new GanGuard({ ...settings, ...options }, steps, numbers);
  /** So many equal steps; what was said in them. */
  const watch = (count: number, hinge: number, { recon = 1, weight = 0.05 } = {}) =>
    Array.from({ length: count }, () => guard.observe({ hinge, recon, weight }));
  return { guard, numbers, watch };
}
const kindsOf = (verdicts: readonly Verdict[]) =>
  verdicts.flatMap(({ events }) => events.map(({ kind }) => kind));

describe("the guard", () => {
  test("says nothing of a discriminator in balance", () => {
    const { guard, watch, numbers } = guarded();
    expect(kindsOf(watch(200, 0.8))).toEqual([]);
    expect([guard.isGood, numbers.discriminatorScale]).toEqual([true, 1]);
  });

  test("says once that it is too strong, halves its rate each patience, and says when it eases", () => {
    const { guard, watch, numbers } = guarded();
    expect(kindsOf(watch(9, 0))).toEqual([]); // not before its patience
    const strong = watch(21, 0);
    expect(kindsOf(strong)).toEqual(["discriminator-too-strong", "back-off", "back-off"]);
    expect([numbers.discriminatorScale, guard.isGood]).toEqual([0.25, false]);
    expect(kindsOf(watch(40, 0.9))).toEqual(["discriminator-eased"]);
    expect([numbers.discriminatorScale, guard.isGood]).toEqual([0.25, true]);
  });

  test("only says it while the GAN term has no weight, or where the guard is off", () => {
    const waiting = guarded();
    expect(kindsOf(waiting.watch(100, 0, { weight: 0 }))).toEqual(["discriminator-too-strong"]);
    const off = guarded({ guard: false });
    expect(kindsOf(off.watch(100, 0))).toEqual(["discriminator-too-strong"]);
    expect(off.watch(200, 0.8, { recon: 9 }).every(({ rollback }) => !rollback)).toBe(true);
    expect([waiting, off].map(({ numbers }) => numbers.discriminatorScale)).toEqual([1, 1]);
  });

  test("does not freeze a discriminator altogether", () => {
    const { watch, numbers } = guarded();
    watch(500, 0);
    expect(numbers.discriminatorScale).toBe(1 / 64);
  });

  test("asks for a rollback where the smoothed loss is above so many times the first one", () => {
    const { guard, watch } = guarded();
    watch(50, 0.8);
    expect(watch(2, 0.8, { recon: 1.9 }).some(({ rollback }) => rollback)).toBe(false); // a bad batch
    watch(50, 0.8);
    expect(guard.isGood).toBe(true);
    const damaged = watch(20, 0.8, { recon: 1.9 });
    expect(guard.isGood).toBe(false);
    const [first] = damaged.filter(({ rollback }) => rollback);
    expect(first!.rollback).toMatch(/reconstruction loss is 1\.5\d times/);
  });

  test("learns from a rollback, and gives up after as many as it may make", () => {
    const { guard, numbers } = guarded();
    const lost = { ...numbers, discriminatorScale: 0.5 };
    expect(guard.recover(lost).kind).toBe("back-off");
    expect(numbers).toMatchObject({
      discriminatorScale: 0.25,
      adversarialScale: 0.5,
      rollbacks: 1,
    });
    guard.recover({ ...numbers });
    expect(numbers).toMatchObject({ discriminatorScale: 0.125, adversarialScale: 0.25 });
    expect(() => guard.recover({ ...numbers })).toThrow(/went wrong again after 2 rollbacks/);
  });
});

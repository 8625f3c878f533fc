// Checks that two sets looked at in one batch, as a GPU does it, give what each gives alone: 1e-6 relative. The network is a stub.
import { expect, test, vi } from "vitest";
import { stubInception } from "../../test/stub-networks.js";
import { frechetDistance } from "../metrics/frechet.js";
import { liveTensors, rand, scope, type Tensor } from "../torch/index.js";
import { planOf, wantedOf } from "./plan.js";
import { SetStatistics } from "./set-statistics.js";

/** Clips of three frames, as bytes. */
const clips = (): Tensor => rand([4, 3, 3, 8, 8]).mul(255).to({ dtype: "uint8" });

test.each(["standard", "vitok-paper"] as const)(
  "two sets looked at in one batch are what each is alone, by protocol %s",
  (protocol) => {
    const live = liveTensors();
    const plan = { ...planOf({ metrics: ["fid", "is"], protocol }), fidTap: "64" as const };
    const forward = vi.fn(stubInception.forward) as typeof stubInception.forward;
    const networks = { image: { ...stubInception, forward }, video: undefined };
    const make = (side: "real" | "fake") =>
      new SetStatistics(plan, networks, { count: 8, wanted: wantedOf(plan, side) });
    const [together, apart] = [1, 2].map(() => ({ real: make("real"), fake: make("fake") })) as [
      { real: SetStatistics; fake: SetStatistics },
      { real: SetStatistics; fake: SetStatistics },
    ];
    scope(() => {
      for (const numbers of [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]) {
        const [real, fake] = [clips(), clips()];
        for (const [sets, inOneBatch] of [
          [together, true],
          [apart, false],
        ] as const)
          SetStatistics.update(
            [
              [sets.real, real],
              [sets.fake, fake],
            ],
            numbers,
            inOneBatch,
          );
      }
    });
    const looks = protocol === "standard" ? 1 : 3; // a batch, by frame index
    expect(forward).toHaveBeenCalledTimes(2 * (looks + 2 * looks));
    const scores = [together, apart].map(({ real, fake }) => [
      ...fake.fid.map((moments, i) => frechetDistance(real.fid[i]!, moments)),
      ...fake.is.map((score) => score.compute().mean),
    ]);
    expect(scores[0]).toHaveLength(2 * looks);
    for (const [i, score] of scores[0]!.entries())
      expect(Math.abs(score / scores[1]![i]! - 1)).toBeLessThan(1e-6);
    for (const { real, fake } of [together, apart]) for (const set of [real, fake]) set.dispose();
    expect(liveTensors()).toBe(live);
  },
);

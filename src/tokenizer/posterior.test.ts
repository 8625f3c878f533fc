// The bottleneck's Gaussian against hand-worked values and its own definition (float32, 1e-6).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { Generator, ones, randn, scope, Tensor, zeros } from "../torch/index.js";
import { Posterior } from "./posterior.js";

const grid = { t: 1, h: 1, w: 1 };
const size = { frames: 1, height: 16, width: 16 };
/** One token of one channel. */
const posterior = (mean: number, logvar: number) =>
  new Posterior(Tensor.from([mean, logvar], [1, 1, 2]), grid, size);

test("draw is a sample and the divergence in one, with their gradients", () =>
  scope(() => {
    const noise = randn([2, 3, 8], { generator: new Generator(1) });
    const given = randn([2, 3, 16], { generator: new Generator(2) }).mul(20); // some are held at their limits
    const [at, apart] = [true, false].map((isOne) => {
      const moments = given.clone().requiresGrad_();
      const drawn = new Posterior(moments, grid, size);
      const { latent, kl } = isOne
        ? drawn.draw(noise)
        : { latent: drawn.sample(noise), kl: drawn.kl() };
      latent.mul(noise).sum().add(kl).backward();
      return [latent, kl, moments.grad!];
    });
    at!.forEach((tensor, i) => {
      expectClose(tensor, apart![i]!);
    });
  }));

describe("a posterior", () => {
  test("takes the first half of the channels as means, the second as log-variances", () => {
    const { mean, logvar } = new Posterior(Tensor.from([1, 2, 3, 4], [1, 1, 4]), grid, size);
    expect([...mean.toArray()]).toEqual([1, 2]);
    expect([...logvar.toArray()]).toEqual([3, 4]);
  });

  test("clamps log-variances to [-30, 20], so that no sample is infinite", () => {
    expect(posterior(0, -1e9).logvar.item()).toBe(-30);
    expect(posterior(0, 1e9).logvar.item()).toBe(20);
    expect(
      posterior(0, 1e9)
        .sample(ones([1, 1, 1]))
        .isFinite()
        .all()
        .item(),
    ).toBe(1);
  });

  test("samples mean + std * noise, and its mode is the mean", () => {
    expect(
      posterior(2, Math.log(9))
        .sample(Tensor.from([0.5], [1, 1, 1]))
        .item(),
    ).toBeCloseTo(3.5);
    expect(posterior(2, 5).mode().item()).toBe(2);
  });

  test("draws samples of its own mean and deviation", () => {
    const many = new Posterior(
      Tensor.from([3, Math.log(4)], [1, 1, 2]).expand([1, 20000, 2]),
      grid,
      size,
    );
    const drawn = many.sample(randn([1, 20000, 1], { generator: new Generator(0) }));
    expect(drawn.mean().item()).toBeCloseTo(3, 1);
    expect(drawn.variance().sqrt().item()).toBeCloseTo(2, 1);
  });

  test.each([
    [0, 0, 0],
    [1, 0, 0.5],
    [0, Math.log(4), (4 - 1 - Math.log(4)) / 2],
  ])("of mean %d and log-variance %d is %d nats from the standard normal", (mean, logvar, nats) => {
    expect(posterior(mean, logvar).kl().item()).toBeCloseTo(nats, 6);
  });

  test("averages the divergence over elements, so that sizes compare", () => {
    const moments = Tensor.from([1, 0], [1, 1, 2]).expand([4, 8, 2]);
    expect(new Posterior(moments, grid, size).kl().item()).toBeCloseTo(0.5, 6);
  });

  test("is never nearer than zero", () => {
    const value = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(value, value, (mean, logvar) =>
        scope(() => {
          const nats = posterior(mean, logvar).kl().item();
          expect(nats).toBeGreaterThanOrEqual(-1e-6);
        }),
      ),
    );
  });

  test("is float32, whatever the model's dtype, and passes gradients on", () => {
    const moments = zeros([1, 2, 4]).add(0.5).to({ dtype: "bfloat16" }).requiresGrad_();
    const low = new Posterior(moments, grid, size);
    expect([low.mean.dtype, low.logvar.dtype, low.kl().dtype]).toEqual(Array(3).fill("float32"));
    low.kl().backward();
    expectClose(
      moments.grad!.to({ dtype: "float32" }).select(2, 0),
      Tensor.from([0.125, 0.125], [1, 2]),
      { atol: 1e-3 },
    );
  });
});

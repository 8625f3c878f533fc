// The 1D sin-cos table that the learned positions of Latent ViTok start from.

/** [n, width] row-major: sin in the first half of the channels, cos in the second, period 10000. */
export function sincos(n: number, width: number): Float32Array {
  const half = width / 2;
  return Float32Array.from({ length: n * width }, (_, index) => {
    const [row, column] = [Math.floor(index / width), index % width];
    const phase = row * 10000 ** (-(column % half) / half);
    return column < half ? Math.sin(phase) : Math.cos(phase);
  });
}

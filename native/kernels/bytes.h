// Bytes of three planes side by side, as numbers in [-1, 1]: byte / 127.5 - 1. Not a kernel.

/// Eight places, 24 bytes aligned to 8, as x[plane][place].
__device__ __forceinline__ void loadPlaces(const unsigned char* from, float (&x)[3][8]) {
  const uint2* words = reinterpret_cast<const uint2*>(from);
  const uint2 a = words[0], b = words[1], c = words[2];
  const unsigned all[6] = {a.x, a.y, b.x, b.y, c.x, c.y};
#pragma unroll
  for (int i = 0; i < 24; i++) {
    const float byte = static_cast<float>(all[i / 4] >> 8 * (i % 4) & 255u);
    x[i % 3][i / 3] = (2.0f * byte - 255.0f) * (1.0f / 255.0f);
  }
}

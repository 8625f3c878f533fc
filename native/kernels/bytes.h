// Bytes of three planes side by side, as numbers in [-1, 1]: byte / 127.5 - 1. Not a kernel.

/// Some places, four or eight, of three bytes each, aligned to as many bytes as places: x[plane][place].
template <int places>
__device__ __forceinline__ void loadPlaces(const unsigned char* from, float (&x)[3][places]) {
  unsigned all[places * 3 / 4];
#pragma unroll
  for (int i = 0; i < places * 3 / 4; i += places / 4)
    if constexpr (places == 8) {
      const uint2 pair = reinterpret_cast<const uint2*>(from)[i / 2];
      all[i] = pair.x, all[i + 1] = pair.y;
    } else {
      all[i] = reinterpret_cast<const unsigned*>(from)[i];
    }
#pragma unroll
  for (int i = 0; i < 3 * places; i++) {
    const float byte = static_cast<float>(all[i / 4] >> 8 * (i % 4) & 255u);
    x[i % 3][i / 3] = (2.0f * byte - 255.0f) * (1.0f / 255.0f);
  }
}

// [parts, columns] float32 -> [columns]: the second half of the sums that other kernels leave in parts. 32 columns a block.
#define GROUPS 32

extern "C" __global__ void __launch_bounds__(32 * GROUPS)
    column_sum(const float* __restrict__ parts, float* __restrict__ out, int count, int columns) {
  __shared__ float shared[GROUPS][33];
  const int lane = threadIdx.x % 32, group = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  float total = 0;
  if (column < columns)
#pragma unroll 4
    for (int i = group; i < count; i += GROUPS) total += parts[static_cast<long long>(i) * columns + column];
  shared[group][lane] = total;
  __syncthreads();
  // Each warp sums one of the block's columns over the groups.
  total = laneSum<32>(shared[lane][group]);
  if (lane == 0 && blockIdx.x * 32 + group < columns) out[blockIdx.x * 32 + group] = total;
}

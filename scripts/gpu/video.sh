#!/usr/bin/env bash
# Video on the GPU machine, after pack.sh here and run.sh's build there: trains S-B/4x8 on 16 frames of 128 px from packed
# clips (that machine has no ffmpeg) and scores PSNR, SSIM and rFVD, the last by an I3D of random weights: comparable within
# one run only. Before, here: npx vitok pack VIDEOS --fps 8 --size 144 --out .gpu/clips
# Usage there: STEPS=1500 scripts/gpu/video.sh. What comes home is written under $OUT.
set -euo pipefail
root=$PWD
work=/tmp/vitok
out=${OUT:-/tmp/vitok-out}
mkdir -p "$out"
clips=$(realpath "${CLIPS:-.gpu/clips}")
export LIBTORCH_USE_PYTORCH=1 PATH="$work/bin:$PATH"
package=$work/node_modules/vitok
vitok() { node "$package/dist/cli/vitok.cjs" "$@"; }

cat > "$work/video.yaml" <<YAML
model: { variant: S-B/4x8 }
data: { path: $clips/train, size: 128, frames: 16, fps: 8, concurrency: 12, prefetch: 4 }
losses: { lpips: 0 }
train: { steps: ${STEPS:-1500}, batchSize: 16, peakLr: 3.0e-4, logEvery: 25, evalEvery: 500, saveEvery: 0, gridEvery: 500 }
evaluate: { data: $clips/held, batchSize: 16 }
YAML
vitok train "$work/video.yaml" --out "$work/video" 2>&1 | tee "$out/video-train.txt"
node "$root/scripts/gpu/random-i3d.mjs" "$package" "$work/i3d-random.safetensors"
vitok evaluate "$work/video" --data "$clips/held" --metrics psnr,ssim,fvd --i3d "$work/i3d-random.safetensors" \
  --report "$out/video-report" --json | tee "$out/video-scores.json"
cp "$work/video/run.jsonl" "$out/video-run.jsonl"
cp "$work/video/grids/"*.webp "$out/"

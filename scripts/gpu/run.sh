#!/usr/bin/env bash
# On the GPU machine, from the repository's root, after pack.sh: builds, checks CUDA against the CPU, measures ours and the
# PyTorch opponent in turn, trains. Usage: scripts/gpu/run.sh [STEP...] with steps build, check, bench, evaluate, train (default: all).
# What comes home is written under $OUT.
set -euo pipefail
root=$PWD
work=/tmp/vitok
out=${OUT:-/tmp/vitok-out}
mkdir -p "$work" "$out"
export LIBTORCH_USE_PYTORCH=1 PATH="$work/bin:$PATH"
vitok() { node "$work/node_modules/vitok/dist/cli/vitok.cjs" "$@"; }

build() {
  mkdir -p "$work/bin" "$work/pictures"
  xz -dc .gpu/node.xz > "$work/bin/node" && chmod +x "$work/bin/node"
  tar -C "$work" -xJf .gpu/app.tar.xz
  tar -C "$work/pictures" -xf .gpu/pictures.tar
  node "$work/node_modules/vitok/scripts/bootstrap.mjs"
}

check() {
  cp scripts/gpu/check.mjs "$work/check.mjs"
  node "$work/check.mjs" | tee "$out/check.txt"
}

bench() {
  cp scripts/gpu/bench.mjs "$work/bench.mjs"
  for round in 1 2; do
    node "$work/bench.mjs" | tee -a "$out/bench.jsonl"
    python3 .gpu/anchor.py gpu train-l2 infer | tee -a "$out/anchor.jsonl"
  done
}

# Evaluation beside reconstruction alone, with random weights in the frozen networks.
evaluate() {
  cp scripts/gpu/evaluate.mjs "$work/evaluate.mjs"
  (cd "$work" && node evaluate.mjs --batch "${BATCH:-64}") | tee "$out/evaluate.jsonl"
}

train() {
  vitok train "$root/configs/s-b-16-256.yaml" --out "$work/run" \
    --set data.path="$work/pictures" --set evaluate.data="$work/pictures" --set evaluate.count=100 --set 'evaluate.metrics=[psnr,ssim]' \
    --set losses.lpips=0 --set train.batchSize=64 --set train.accumulate=1 --set train.steps="${STEPS:-1500}" --set train.peakLr=3e-4 \
    --set train.logEvery=25 --set train.evalEvery=500 --set train.saveEvery=500 --set train.gridEvery=500 --set data.cacheMiB=4096 2>&1 | tee "$out/train.txt"
  cp "$work/run/run.jsonl" "$work/run/report/index.html" "$out/"
}

for step in "${@:-build check bench evaluate train}"; do for name in $step; do echo "== $name"; "$name"; done; done

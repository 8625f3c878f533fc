#!/usr/bin/env bash
# Trains the starter model (configs/starter.yaml) on one GPU in a given time and brings it home in half precision. Usage, after
# scripts/gpu/pack.sh and scripts/gpu/run.sh build: SECONDS_LEFT=200 VITOK_WEIGHTS=w:w/lpips scripts/gpu/starter.sh PICTURES
# A short run first says how many steps fit, because the learning rate has to come down by the last one.
set -euo pipefail
pictures=$(realpath "$1")
root=$PWD work=${WORK:-/tmp/vitok} out=${OUT:-/tmp/vitok-out}
program=${VITOK:-$work/node_modules/vitok/dist/cli/vitok.cjs}
mkdir -p "$out"
export LIBTORCH_USE_PYTORCH=${LIBTORCH_USE_PYTORCH-1} PATH="$work/bin:$PATH"
started=$SECONDS
train() { # NAME STEPS
  node "$program" train "$root/configs/starter.yaml" --out "$work/$1" --set data.path="$pictures" --set train.steps="$2" \
    --set train.batchSize="${BATCH:-256}" --set train.logEvery=20 2>&1 | tee "$out/$1.txt"
}
train starter-pace "${PACE_STEPS:-300}"
rate=$(grep -o '"imagesPerSecond":[0-9]*' "$work/starter-pace/run.jsonl" | tail -1 | cut -d: -f2)
left=$((${SECONDS_LEFT:-200} - (SECONDS - started) - 25))
steps=$((rate * left / ${BATCH:-256}))
echo "starter: $rate pictures/s, $left s left: $steps steps" | tee "$out/starter-plan.txt"
train starter "$steps"
node "$program" export "$work/starter" --format safetensors --precision float16 --out "$out/starter-model"
cp "$work/starter/run.jsonl" "$out/starter-model/run.jsonl"

#!/usr/bin/env bash
# Pictures to samples on one GPU in about seven minutes: a small tokenizer (Ti-Ti/8, 64 px), its latents, a DiT-S, grids per
# class, gFID at the 768 tap over training and over guidance scales; and, by name, the speed of DiT-L and DiT-XL beside
# PyTorch. Usage, after scripts/gpu/pack.sh and scripts/gpu/run.sh build: scripts/gpu/dit.sh PICTURES WEIGHTS [STEP...]
# with steps tokenizer, latents, dit, guidance, samples (default: these five) and bench. PICTURES: a folder a class.
# WEIGHTS: a folder with those of the 2015 Inception (inception_2015*.safetensors, or the public .pth). VARIANT: the tokenizer's.
# What comes home is written under $OUT. VITOK names the program, TINY=1 tries
# the script on a CPU in a minute; numbers are then meaningless. PYTHON names the opponent's.
set -euo pipefail
pictures=$(realpath "$1") weights=$(realpath "$2")
shift 2
root=$PWD work=${WORK:-/tmp/vitok} out=${OUT:-/tmp/vitok-out}
program=${VITOK:-$work/node_modules/vitok/dist/cli/vitok.cjs}
mkdir -p "$work" "$out"
export VITOK_WEIGHTS=$weights LIBTORCH_USE_PYTORCH=${LIBTORCH_USE_PYTORCH-1} PATH="$work/bin:$PATH"
vitok() { node "$program" "$@"; }
if [ -n "${TINY:-}" ]; then
  variant=Tiw48d1h4-Tiw48d1h4/16 dit=DiT-Sw48d2h4 tokenizer_steps=6 dit_steps=6 batch=8 score=24 evals=2 scales="1 2" sampler_steps=4 device=cpu precision=float32
else
  variant=${VARIANT:-Ti-Ti/8} dit=DiT-S tokenizer_steps=${TOKENIZER_STEPS:-3000} dit_steps=${DIT_STEPS:-8000} batch=256 score=${SCORE:-2500} evals=5 scales=${SCALES:-1 1.5 2 3 4 6} sampler_steps=25 device=auto precision=bfloat16
fi

tokenizer() {
  vitok train "$root/configs/ti-64-photos.yaml" --out "$work/tokenizer" --set model.variant="$variant" \
    --set data.path="$pictures" --set evaluate.count=64 --set train.steps=$tokenizer_steps --set train.batchSize=$((batch / 4)) \
    --set train.peakLr=1e-3 --set train.evalEvery=0 --set train.gridEvery=0 --set train.saveEvery=0 --set device=$device \
    --set train.precision=$precision --set data.concurrency=8 --set data.cacheMiB=4096 2>&1 | tee "$out/tokenizer.txt"
  cp "$work/tokenizer/run.jsonl" "$out/tokenizer.jsonl"
  cp "$work"/tokenizer/grids/*.png "$out/" 2>/dev/null || true
}

latents() {
  vitok encode "$work/tokenizer" --data "$pictures" --out "$work/latents" --size 64 --device $device --batch-size 64 --json | tee "$out/latents.json"
}

dit() {
  vitok train "$root/configs/dit-s-64.yaml" --out "$work/dit" --set generator.variant=$dit --set generator.tokenizer="$work/tokenizer" \
    --set data.path="$work/latents" --set evaluate.data="$pictures" \
    --set generator.sample.scoreCount=$score --set generator.sample.steps=$sampler_steps --set train.steps=$dit_steps \
    --set train.batchSize=$batch --set train.evalEvery=$((dit_steps / evals)) --set train.gridEvery=$((dit_steps / evals)) \
    --set train.saveEvery=$((dit_steps / 2)) --set train.logEvery=50 --set train.precision=$precision --set device=$device 2>&1 | tee "$out/dit.txt"
  cp "$work/dit/run.jsonl" "$out/dit.jsonl"
  mkdir -p "$out/grids" && cp "$work"/dit/grids/*.png "$out/grids/"
}

guidance() { # all scales in one process; draw with scripts/draw-guidance.ts
  vitok evaluate "$work/dit" --data "$pictures" --metrics fid --fid-tap 768 --real-stats "$work/real-64.npz" --count $score \
    --guidance "${scales// /,}" --sampler dpm++ --steps $sampler_steps --batch-size $batch --device $device --precision $precision \
    --json > "$out/guidance.json"
  node -e 'for (const { guidance, metrics } of JSON.parse(require("fs").readFileSync(process.argv[1])).scales) console.log(guidance, JSON.stringify(metrics))' "$out/guidance.json"
}

samples() {
  vitok generate "$work/dit" --class all --count 8 --steps 250 --guidance 3 --out "$work/samples" --batch-size 80 --device $device
  cp "$work/samples/grid.png" "$out/samples.png"
}

# Both sides of each size: PyTorch compiles while ours is measured a first time, then both take their turns on a quiet GPU.
# About two minutes a size; SIZES="L" takes one alone. With two GPUs each size has its own.
bench() {
  local sizes=${SIZES:-L XL} place=0 gpus size
  [ -z "${TINY:-}" ] || sizes=tiny
  cp "$root/scripts/gpu/dit-bench.mjs" "$root/scripts/gpu/kernel-times.mjs" "$work/"
  gpus=$(nvidia-smi -L 2> /dev/null | wc -l) || gpus=0
  for size in $sizes; do
    if [ "$gpus" -gt 1 ]; then CUDA_VISIBLE_DEVICES=$((place++ % gpus)) both_sides "$size" & else both_sides "$size"; fi
  done
  wait
}

both_sides() {
  local names="train-$1 sample-$1" where=cuda name
  local -A theirs
  [ -z "${TINY:-}" ] || { where=cpu && export DEVICE=cpu; }
  for name in $names; do
    rm -f "$work/gate.$name" "$work/gate.$name.ready"
    GATE="$work/gate" timeout 280 "${PYTHON:-python3}" "$root/bench/dit_anchor.py" $where "$name" > "$work/theirs-$name.jsonl" 2> "$out/theirs-$name.err" &
    theirs[$name]=$!
  done
  for name in $names; do PROFILE=1 ours "$name" while-compiling; done
  for name in $names; do
    while kill -0 "${theirs[$name]}" 2> /dev/null && [ ! -e "$work/gate.$name.ready" ]; do sleep 0.1; done
  done
  for name in $names; do
    ours "$name" beside
    touch "$work/gate.$name"
    wait "${theirs[$name]}" || tail -3 "$out/theirs-$name.err"
    tee -a "$out/dit-anchor.jsonl" < "$work/theirs-$name.jsonl"
  done
}

ours() {
  timeout 90 node "$work/dit-bench.mjs" "$1" 2> "$out/ours-$1-$2.err" | tee -a "$out/dit-bench-$2.jsonl" || tail -3 "$out/ours-$1-$2.err"
}

for step in "${@:-tokenizer latents dit guidance samples}"; do for name in $step; do echo "== $name"; "$name"; done; done

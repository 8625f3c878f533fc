#!/usr/bin/env bash
# Stage 1, then stage 2 of a small tokenizer, scored before and after: about 3 + 3 minutes on one H100. CONTROL=1 adds the same
# second stage without a GAN. Usage, from the repository's root after set-up:
#   DATA=imagenette OUT=out VITOK_WEIGHTS=weights:weights/lpips scripts/gpu/two-stages.sh
# DATA holds train/ and val/; the weights are SqueezeNet's with its LPIPS heads, and the 2015 Inception's up to the 768 tap.
# VITOK names the command (default: this clone's); SIZE, BATCH, STEPS1, STEPS2, MODEL and DEVICE are what to make smaller on a CPU.
set -euo pipefail
out=${OUT:-/tmp/vitok-two-stages}
mkdir -p "$out"
vitok() { ${VITOK:-node dist/cli/main.js} "$@"; }
steps1=${STEPS1:-3000} steps2=${STEPS2:-1500}

common=(--set data.path="$DATA/train" --set evaluate.data="$DATA/val" --set data.size="${SIZE:-128}" --set train.batchSize="${BATCH:-64}"
  --set device="${DEVICE:-auto}" --set data.concurrency=16 --set data.prefetch=4 --set data.cacheMiB=2048
  --set losses.lpips=1 --set losses.lpipsTrunk=squeeze --set 'evaluate.metrics=[psnr,ssim,lpips]' --set evaluate.count="${COUNT:-200}"
  --set train.logEvery=10 --set train.tensorboard=true)
model=${MODEL:-Sw384d4h6-Sw384d6h6/8}

train() { # RUN CONFIG [SETTING...]
  local run=$1 config=$2
  shift 2
  SECONDS=0
  vitok train "$config" --out "$out/$run" "${common[@]}" --set model.variant="$model" "$@" 2>&1 | tee "$out/$run.txt"
  echo "$run: $SECONDS s" | tee -a "$out/seconds.txt"
  vitok evaluate "$out/$run" --data "$DATA/val" --metrics psnr,ssim,lpips,fid --fid-tap 768 --lpips-trunk squeeze \
    --device "${DEVICE:-auto}" --out "$out/$run-scores" --report "$out/$run-page" --json > "$out/$run.json"
  rm -rf "$out/$run/checkpoints" "$out/$run/events.out"* # what comes home is the log, the pictures and the model
}

second=(--set train.from="$out/stage1" --set train.steps="$steps2" --set train.peakLr=2e-4)
train stage1 configs/ti-64-photos.yaml --set train.steps="$steps1" --set train.peakLr=5e-4
train stage2 configs/ti-64-stage2.yaml "${second[@]}" --set gan.width="${WIDTH:-0.5}" --set gan.peakLr="${GAN_LR:-1e-4}" \
  --set gan.waitSteps=$((steps2 / 20)) --set gan.rampSteps=$((steps2 / 4)) --set gan.warmupSteps=$((steps2 / 5))
if [ "${CONTROL:-}" ]; then
  sed '/^gan:/,/^train:/{/^train:/!d}' configs/ti-64-stage2.yaml > "$out/control.yaml"
  train control "$out/control.yaml" "${second[@]}" --set losses.adversarial=0
fi
for run in stage1 stage2 ${CONTROL:+control}; do
  node -e 'const { metrics } = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log(process.argv[2], JSON.stringify(metrics))' "$out/$run.json" "$run"
done | tee "$out/scores.txt"

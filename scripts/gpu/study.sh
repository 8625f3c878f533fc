#!/usr/bin/env bash
# Studies of the paper at scale small on a machine with two GPUs, in about eight minutes: figures 3, 4, 5, 9, 14 and 15 on pictures
# of ten classes at 64 px, several runs at a time. Usage, after scripts/gpu/pack.sh and scripts/gpu/run.sh build:
#   scripts/gpu/study.sh PICTURES WEIGHTS [OPTION of `vitok study run`...]
# PICTURES holds train/ and val/, a folder a class in each. WEIGHTS, folders separated by `:`, hold those of the 2015 Inception up to
# its 768 tap, and for figure 9 SqueezeNet's with its LPIPS heads (cells without their weights fail, the others do not).
# LIMIT (seconds), PARALLEL, DEVICES, STUDIES and VITOK as below; TINY=1 tries the script on a CPU in a few minutes: its numbers mean
# nothing. What comes home: $OUT/study.tar.gz with results, figures and pages, and $OUT/study-steps.tar.gz with every step's
# log, recipe, scores and pictures, from which `vitok study report` draws again. Called again, it goes on where it was.
set -uo pipefail
pictures=$(realpath "$1") weights=$2
shift 2
work=${WORK:-/tmp/vitok} out=${OUT:-/tmp/vitok-out}
program=${VITOK:-$work/node_modules/vitok/dist/cli/vitok.cjs}
studies=${STUDIES:-fig3 fig4 fig5 fig9 fig15 fig14}
store=$work/studies
mkdir -p "$store" "$out"
export VITOK_WEIGHTS=$weights LIBTORCH_USE_PYTORCH=${LIBTORCH_USE_PYTORCH-1} PATH="$work/bin:$PATH" OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
devices=${DEVICES:-cuda:0,cuda:1} parallel=${PARALLEL:-8} limit=${LIMIT:-430}
more=(--set data.workers="${WORKERS:-3}")
if [ -n "${TINY:-}" ]; then
  devices=cpu parallel=${PARALLEL:-2}
  more=(--set train.steps=6 --set train.batchSize=8 --set train.precision=float32 --set train.threads=1 --set stage2.train.steps=4
    --set stage2.train.batchSize=8 --set dit.train.steps=4 --set dit.train.batchSize=8 --set dit.generator.sample.steps=2
    --set dit.generator.variant=DiT-Sw48d2h4 --set evaluate.count=16 --set sample.count=16 --set sample.steps=2)
fi
options=(--scale small --out "$store" --set data.path="$pictures/train" --set evaluate.data="$pictures/val" --set sample.data="$pictures/train" "${more[@]}" "$@")

SECONDS=0
# shellcheck disable=SC2086  # names of studies
timeout --foreground --kill-after=25 "$limit" node "$program" study run $studies --devices "$devices" --parallel "$parallel" "${options[@]}" \
  2> >(tee "$out/study-log.txt" >&2) | tee "$out/study.txt"
echo "study run: $SECONDS s" | tee -a "$out/study.txt"
# shellcheck disable=SC2086
[ -e "$store/fig3-small/results.json" ] || node "$program" study report $studies "${options[@]}" | tee -a "$out/study.txt"
(cd "$store" && tar -czf "$out/study.tar.gz" ./*-small)
(cd "$store" && find steps -type f \( -name '*.json' -o -name '*.jsonl' -o -name '*.txt' -o -name '*.yaml' -o -name '*.png' \) \
  -not -path '*/model/*' -not -path '*/checkpoints/*' -not -path '*/report/*' -not -name scores.json -print0 | tar --null -czf "$out/study-steps.tar.gz" -T -)
ls -la "$out"

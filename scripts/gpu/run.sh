#!/usr/bin/env bash
# On the GPU machine, from the repository's root, after pack.sh: builds, checks CUDA against the CPU, measures ours and the
# PyTorch opponent in turn, trains. Usage: scripts/gpu/run.sh [STEP...] with steps build, check, bench, evaluate, train (default: all),
# and metrics, kernels, speed, trainer, scaling, shapes, inputs, float8, ratios, profile, curves, attention: each case a process with a time limit, JSON lines.
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

# Evaluation beside reconstruction alone, with random weights in the frozen networks. EVALUATE: more arguments.
evaluate() {
  cp scripts/gpu/{evaluate,convolutions,watch}.mjs "$work/"
  # shellcheck disable=SC2086  # several arguments
  (cd "$work" && node evaluate.mjs --batch "${BATCH:-64}" ${EVALUATE:-}) | tee "$out/evaluate.jsonl"
}

# The metrics' kernels, Inception by each of its ways, its convolutions one by one, evaluation beside reconstruction: after build, about a minute.
metrics() {
  each kernels.mjs 40 similarity inception
  EVALUATE="${EVALUATE:-} --convolutions" evaluate
}

# A script's cases, one process each: one that fails or hangs leaves a line and stops no other. Several may run at once.
each() {
  local script=$1 limit=$2 case=$work/case.$BASHPID name status
  shift 2
  mkdir -p "$work/kernels"
  cp -f scripts/gpu/*.mjs "$work/"
  cp -f scripts/gpu/kernels/*.mjs "$work/kernels/"
  for name in "$@"; do
    status=0
    # shellcheck disable=SC2086  # a case may carry an argument
    timeout --kill-after=5 "$limit" node "$work/$script" $name > "$case.txt" 2> "$case.err" || status=$?
    tee -a "$out/$script.jsonl" < "$case.txt"
    [ $status = 0 ] || echo "{\"script\":\"$script\",\"case\":\"$name\",\"status\":$status,\"stderr\":$(tail -c 600 "$case.err" | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))')}" | tee -a "$out/$script.jsonl"
  done
}

kernels() { each kernels.mjs 90 copy add-norm gated-silu modulate rotate-split attention unit-distance boxes bytes gaussian quantise similarity inception lpips adamw graph inference tower; }

speed() {
  for round in 1 2; do
    each speed.mjs 90 "train-lpips" "train" "encode" "decode" "roundtrip"
    [ $round = 2 ] || each speed.mjs 90 "train-lpips plain" "train plain" "train-lpips fused" "train fused" "roundtrip plain"
    theirs train-lpips train
    timeout 150 python3 .gpu/anchor.py gpu infer train train-l2 2>> "$out/anchor.err" | tee -a "$out/anchor.jsonl" || true
  done
}

theirs() { timeout 150 python3 bench/torch_anchor_clip.py .gpu/anchor.py "$@" 2>> "$out/anchor.err" | tee -a "$out/anchor-clip.jsonl" || true; }

# Starts cases of the opponent, each a process of its own, which compile in the background and wait at their gates.
compile_theirs() {
  local name delay=0
  mkdir -p "$work"
  cp .gpu/anchor.py bench/torch_anchor_clip.py "$work/"
  for name in "$@"; do
    rm -f "$work/gate.$name" "$work/gate.$name.ready" "$work/theirs-$name.jsonl"
    GATE="$work/gate" setsid bash -c "sleep $delay; timeout 580 python3 $work/torch_anchor_clip.py $work/anchor.py $name > $work/theirs-$name.jsonl 2>> $work/anchor.err" > /dev/null 2>&1 &
    delay=$((delay + ${DELAY:-30})) # so that they do not need their memory at once
  done
}

# await_theirs SECONDS CASE...: until all have compiled or failed. Nothing else is measured meanwhile.
await_theirs() {
  local seconds=$1 name
  shift
  for name in "$@"; do
    while [ ! -e "$work/gate.$name.ready" ] && [ ! -s "$work/theirs-$name.jsonl" ] && [ "$seconds" -gt 0 ]; do
      sleep 1
      seconds=$((seconds - 1))
    done
  done
}

# Lets a case that has compiled run, and waits for its line.
measure_theirs() {
  touch "$work/gate.$1"
  for _ in $(seq 60); do [ -s "$work/theirs-$1.jsonl" ] && break; sleep 1; done
  [ -s "$work/theirs-$1.jsonl" ] || echo "{\"torch\": \"$1\", \"error\": \"no result in time\"}" > "$work/theirs-$1.jsonl"
  tee -a "$out/anchor-clip.jsonl" < "$work/theirs-$1.jsonl"
}

# Ours and the opponent's, compiled and eager, beside each other, of what $out holds.
ratios() { node scripts/gpu/ratios.mjs "$out" | tee "$out/ratios.md"; }

# The opponent of `race`, compiling in the background: a call of its own may start it while the machine is set up.
opponent() {
  compile_theirs train-lpips train
  setsid bash -c "sleep 60; timeout 200 python3 $work/anchor.py gpu infer" > "$work/theirs-warm.txt" 2>&1 & # fills the compiler's cache
}

# Both sides in few minutes: the opponent compiles while ours builds, is checked and measured. OPPONENT=1: it was started; BUILT=1: so was build.
race() {
  [ "${OPPONENT:-}" ] || opponent
  [ "${BUILT:-}" ] || build
  each kernels.mjs 60 add-norm gated-silu modulate rotate-split attention unit-distance boxes bytes gaussian quantise similarity inception lpips adamw inference tower
  await_theirs 60 train-lpips train
  PROFILE=1 each speed.mjs 60 "train-lpips" "train"
  each speed.mjs 60 encode decode roundtrip
  SELF_ATTENTION=0 each speed.mjs 60 "train" encode # libtorch's attention
  each speed.mjs 60 "curves plain" "curves graph"
  for name in train-lpips train; do measure_theirs $name; done
  each speed.mjs 60 "train-lpips" "train" # again, beside theirs in time
  timeout 90 python3 "$work/anchor.py" gpu infer infer-eager 2>> "$work/anchor.err" | tee -a "$out/anchor.jsonl" || true
  theirs train-lpips-eager train-eager
  cp "$work/anchor.err" "$out/" || true
  ratios
}

# The least that says whether the training kernels are right and how fast they are, after build: about two minutes.
last() {
  each kernels.mjs 40 add-norm rotate-split attention boxes bytes gaussian quantise similarity inception lpips inference tower
  PROFILE=1 each speed.mjs 40 "train-lpips" "train"
  each speed.mjs 40 encode decode roundtrip
  each speed.mjs 40 "curves plain" "curves graph"
}

profile() { PROFILE=1 each speed.mjs 90 "train-lpips" "train" "roundtrip"; }

# Larger shapes, after build: theirs compile first, at most four minutes and a half; then both sides in turn, ours once more at
# the end. About six minutes; CASES="p8" takes one of them, in about two.
shapes() {
  local name cases=${CASES:-clips p8 large}
  # shellcheck disable=SC2086  # a list
  {
    compile_theirs $cases
    await_theirs 270 $cases
  }
  for name in $cases; do
    each speed.mjs 60 "$name"
    measure_theirs "$name"
  done
  for name in $cases; do theirs "$name-eager"; done
  for name in $cases; do each speed.mjs 60 "$name"; done
  cp "$work/anchor.err" "$out/" || true
  ratios
}

# Data-parallel training, after build, on a machine with two GPUs; ONLY=kill takes a part, TWO="--precision float32 --batch 32"
# adds to the script's options; PROCESSES=1 takes one process over NCCL.
two() {
  cp scripts/gpu/{two-gpus,pace,curves}.mjs "$work/"
  # shellcheck disable=SC2086  # several words
  node "$work/two-gpus.mjs" ${TWO:-} --data "$work/pictures" --out "$work/two" --processes "${PROCESSES:-2}" --only "${ONLY:-pace,curves,kill}" 2>&1 | tee -a "$out/two-gpus.txt" || echo "two: see what is not ok"
  cat "$work/two/two-gpus.jsonl" >> "$out/two-gpus.jsonl"
  cat "$work/two/curves.jsonl" >> "$out/two-gpus-curves.jsonl" 2> /dev/null || true
}

curves() { each speed.mjs 90 "curves plain" "curves graph"; }

# `vitok train`'s loop as a graph, as kernels and as plain operators on the same data: speed, waiting, losses; and 500 steps of a
# small model from two seeds. About three minutes.
trainer() {
  DATA="$work/pictures" each trainer-graph.mjs 90 graph kernels plain compare
  DATA="$work/pictures" each trainer-graph.mjs 60 "graph small 0" "plain small 0" "graph small 1" "plain small 1" "compare small"
}

# A training step over sizes, tokens, batches, patches, clips and checkpointing: about two minutes. Then, at home: bench/scaling.ts.
scaling() {
  cp scripts/gpu/scaling.mjs "$work/"
  timeout 240 node "$work/scaling.mjs" 2> "$out/scaling.err" | tee "$out/scaling.jsonl" || true
}

# What bytes, boxes, the posterior's draw and 8-bit products bring, after build: checks, bandwidths and cases in half a minute or so.
inputs() {
  each kernels.mjs 40 add-norm bytes boxes gaussian quantise
  each speed.mjs 30 encode encode-float8 decode decode-float8
}

# 8-bit products: the model's scores in each precision, and its speed. MODEL: a trained one; default: what `train` left.
float8() {
  local precision model=${MODEL:-$work/run}
  for precision in float32 bfloat16 float8; do
    vitok evaluate "$model" --data "$work/pictures" --count "${COUNT:-200}" --metrics psnr,ssim --precision $precision \
      --out "$work/float8-$precision" --json | tee -a "$out/float8.jsonl" || true
  done
  vitok compare "$work/float8-bfloat16/scores.json" "$work/float8-float8/scores.json" | tee "$out/float8.txt" || true
  each speed.mjs 60 encode encode-float8 decode decode-float8 roundtrip roundtrip-float8
}

attention() { each speed.mjs 90 attention; }

# Our attention kernel beside libtorch's, after build: checks, each way's time, a step with it and without, 500 losses. Under a minute.
own_attention() {
  each kernels.mjs 40 attention
  PROFILE=1 each speed.mjs 40 "train"
  each speed.mjs 40 encode "curves graph"
  SELF_ATTENTION=0 each speed.mjs 40 "train" encode
}

train() {
  vitok train "$root/configs/s-b-16-256.yaml" --out "$work/run" \
    --set data.path="$work/pictures" --set evaluate.data="$work/pictures" --set evaluate.count=100 --set 'evaluate.metrics=[psnr,ssim]' \
    --set losses.lpips=0 --set train.batchSize=64 --set train.accumulate=1 --set train.steps="${STEPS:-1500}" --set train.peakLr=3e-4 \
    --set train.logEvery=25 --set train.evalEvery=500 --set train.saveEvery=500 --set train.gridEvery=500 --set data.cacheMiB=4096 2>&1 | tee "$out/train.txt"
  cp "$work/run/run.jsonl" "$work/run/report/index.html" "$out/"
}

for step in "${@:-build check bench evaluate train}"; do for name in $step; do echo "== $name"; "$name"; done; done

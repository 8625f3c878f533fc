#!/usr/bin/env bash
# Packs what a bare, offline GPU machine needs into .gpu/ (kept out of git): Node, the installed package with its
# dependencies, pictures, and the PyTorch opponent. Usage: scripts/gpu/pack.sh PICTURES ANCHOR.py
# There: scripts/gpu/run.sh unpacks it, builds the addon against that machine's torch, checks, measures and trains.
set -euo pipefail
cd "$(dirname "$0")/../.."
pictures=$1 anchor=$2
mkdir -p .gpu
if [ ! -e .gpu/node.xz ]; then
  cp "$(command -v node)" .gpu/node
  strip .gpu/node
  xz -T0 -6 -f .gpu/node
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
npx tsc -b
npm pack --silent --ignore-scripts --pack-destination "$stage" > /dev/null
(cd "$stage" && npm init -y > /dev/null && npm install --omit=dev ./vitok-*.tgz > /dev/null)
tar -C "$stage" -cJf .gpu/app.tar.xz node_modules
tar -C "$pictures" -cf .gpu/pictures.tar .
cp "$anchor" .gpu/anchor.py
du -sh .gpu

#!/bin/sh
# Train the papers' full-width networks, on a GPU where there is one; a second call continues what was interrupted.
#     QUANTATTACK_DATA=folder scripts/train-full-width.sh [OUT]
# On several GPUs: put `torchrun --nproc-per-node=N --no-python` before `quantattack`.
set -eu
out=${1:-zoo}
mkdir -p "$out"
for name in $(python -c "from quantattack.training.full_width import FULL; print(*(recipe.name for recipe in FULL))")
do
  [ -f "$out/$name.safetensors" ] || quantattack train "$name" --out "$out/$name.safetensors"
done

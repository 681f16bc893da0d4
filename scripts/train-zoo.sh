#!/bin/sh
# Train the zoo's reduced-width networks anew, one after another; a second call continues what was interrupted.
#     QUANTATTACK_DATA=folder scripts/train-zoo.sh [OUT]
set -eu
out=${1:-zoo}
mkdir -p "$out"
for name in $(python -c "from quantattack.training.recipes import RECIPES; print(*(n for n in RECIPES if '-full-' not in n))")
do
  [ -f "$out/$name.safetensors" ] || quantattack train "$name" --out "$out/$name.safetensors"
done

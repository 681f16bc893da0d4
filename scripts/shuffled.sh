#!/bin/sh
# The suite ten times, each time in another order and with other draws; the first failure ends it.
#   sh scripts/shuffled.sh [RUNS] [ARGUMENTS OF PYTEST...]
set -eu
runs="${1:-10}"
[ $# -eq 0 ] || shift
for seed in $(seq 1 "$runs"); do
  echo "seed $seed"
  OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -n 2 --dist loadfile -p randomly \
    --randomly-seed="$seed" --hypothesis-seed="$seed" "$@"
done

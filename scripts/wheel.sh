#!/bin/sh
# Install the wheel of dist/ into an environment that holds nothing else, and run the README's first commands there,
# in an empty folder outside of the checkout.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
python=${1:-python3}

rm -rf .venv-wheel
"$python" -m venv .venv-wheel
pip="$root/.venv-wheel/bin/pip --quiet --disable-pip-version-check"
$pip install --constraint constraints.txt torch
$pip install --constraint constraints.txt dist/quantattack-*.whl

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH QUANTATTACK_DATA
PATH="$root/.venv-wheel/bin:$PATH"
cp "$root/examples/mine.py" mine.py

# What the README says after its `pip install`
awk '/<!-- install -->/ {found = 1} found && /^```$/ {exit} inside; found && /^```sh$/ {inside = 1}' "$root/README.md" \
  | grep -v '^pip ' > first.sh
test "$(wc -l < first.sh)" -eq 3
sh -eux first.sh > said.txt
cat said.txt

grep -q digits-mdtanhs said.txt
quantattack show runs/mine --json | grep -q '"finished": true'
case $(python -c 'import quantattack; print(quantattack.__file__)') in
  "$root"/.venv-wheel/*) ;;
  *) echo "the wheel was not what ran" >&2; exit 1 ;;
esac
echo "the wheel works"

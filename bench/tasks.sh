#!/bin/sh
# Whole tasks beside PyTorch: what `make bench-tasks` runs.      sh bench/tasks.sh DATA [GROUP...]      GROUP: see tasks.py
# Needs Debian's python3-torch. Programs, CSV files and what was printed go to $BUILD/tasks. Up to forty minutes, during which the
# machine should do nothing else.
set -u
here=$(dirname "$0")
out=${BUILD:-build}/tasks
python=/usr/bin/python3         # Debian's, which sees python3-torch; another python3 may come first in PATH
[ $# -ge 1 ] && [ -n "$1" ] || { echo "usage: make bench-tasks DATA=folder [ONLY='group...']" >&2; exit 2; }
[ -x $python ] || { echo "tasks: $python is missing (Debian: python3 python3-torch)" >&2; exit 1; }
mkdir -p "$out" || exit 1
. "$here/openblas.sh"
$python -B "$here/tasks.py" "$out" "$@" 2>&1 | tee "$out/tasks.txt"
echo
echo "==== all figures (RATIO: PyTorch's time / ours; CSV files are in $out)"
grep -E '^(RATIO|RESULT) ' "$out/tasks.txt"
! grep '^FAILED' "$out/tasks.txt"

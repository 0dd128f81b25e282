#!/bin/sh
# Whole tasks, or BADM's neighbours, beside their peers: what `make bench-tasks` and `make bench-methods` run.
#     sh bench/tasks.sh tasks|methods DATA [GROUP...]      GROUP: see tasks.py and methods.py
# Needs Debian's python3-torch and python3-numpy. Programs, CSV files and what was printed go to $BUILD/tasks or $BUILD/methods. Up to
# forty minutes, or twenty, during which the machine should do nothing else.
set -u
here=$(dirname "$0")
what=${1:-}
case $what in tasks | methods) shift ;; *) echo "usage: sh bench/tasks.sh tasks|methods DATA [GROUP...]" >&2; exit 2 ;; esac
out=${BUILD:-build}/$what
python=/usr/bin/python3         # Debian's, which sees python3-torch; another python3 may come first in PATH
[ $# -ge 1 ] && [ -n "$1" ] || { echo "usage: make bench-$what DATA=folder [ONLY='group...']" >&2; exit 2; }
[ -x $python ] || { echo "$what: $python is missing (Debian: python3 python3-numpy python3-torch)" >&2; exit 1; }
for module in numpy torch; do
    $python -c "import $module" 2> /dev/null || { echo "$what: python3-$module is missing (Debian: python3-$module)" >&2; exit 1; }
done
mkdir -p "$out" || exit 1
. "$here/openblas.sh"
$python -B "$here/$what.py" "$out" "$@" 2>&1 | tee "$out/$what.txt"
echo
echo "==== all figures (RATIO: the peer's time / ours; CSV files are in $out)"
grep -E '^(RATIO|RESULT) ' "$out/$what.txt"
! grep '^FAILED' "$out/$what.txt"

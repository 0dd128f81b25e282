#!/bin/sh
# Runs every experiment and draws the plots.      sh bench/experiments.sh PROGRAM DATA [--quick]
# PROGRAM is bench/experiments.c compiled; DATA has mnist/ and libsvm/, for the four kinds of task also fashion-mnist/, text/ and graphs/ (these
# need Debian's python3-numpy). Everything goes to the folder PROGRAM-results: CSV files, plots, and
# (not with --quick, which only shows that all of it runs) RESULTS.md, as it stands beside this script.
set -eu

if [ $# -lt 2 ] || [ ! -d "$2" ]; then
    echo "usage: make experiments DATA=folder       (the folder has mnist/ and libsvm/, plain or gzipped)" >&2
    exit 2
fi
program=$1
data=$2
quick=${3:-}
here=$(dirname "$0")
out=$program-results
mkdir -p "$out"

{
    uname -srm
    sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2> /dev/null | sort | uniq -c
} | tee "$out/machine.txt"

for what in batches compare speed local gradient forms slots; do
    echo "== $what"
    "$program" "$what" "$data" "$out" ${quick:+"$quick"} > "$out/$what.txt" || { cat "$out/$what.txt"; exit 1; }
    cat "$out/$what.txt"
done

python=/usr/bin/python3         # Debian's, which sees python3-numpy; another python3 may come first in PATH
if $python -c 'import numpy' 2> /dev/null; then
    echo "== tasks"
    $python -B "$here/task_methods.py" "$out" "$data" ${quick:+"$quick"} > "$out/tasks.txt" || { cat "$out/tasks.txt"; exit 1; }
    cat "$out/tasks.txt"
else
    echo "python3-numpy is missing (Debian: python3-numpy): the four kinds of task are left out"
fi

if [ -z "$quick" ] && $python -c 'import numpy' 2> /dev/null; then
    echo "== methods"
    $python -B "$here/methods.py" "$out" "$data" pdadmm_networks pdadmm_curve growth_logistic growth_cnn > "$out/methods.txt" || { cat "$out/methods.txt"; exit 1; }
    cat "$out/methods.txt"
fi

[ -n "$quick" ] || sh "$here/results.sh" "$out" > "$out/RESULTS.md"

if ! command -v gnuplot > /dev/null; then
    echo "gnuplot is missing (Debian: gnuplot-nox): no plots; the figures are in $out/*.csv"
    exit 0
fi
for plot in batches compare tuning speed local gradient forms slots; do
    for form in "svg size 900,500 font 'sans-serif,14' background '#ffffff'" "pngcairo size 1350,750 font 'sans-serif,18' background '#ffffff'"; do
        case $form in svg*) ending=svg ;; *) ending=png ;; esac
        gnuplot -e "here='$here'; dir='$out'; set terminal $form; set output '$out/$plot.$ending'" "$here/$plot.gp"
    done
done
for net in gpt:3.2 cnn:0.8 vae:160 gcn:2; do          # and the loss above which nothing is shown
    [ -f "$out/curves_${net%:*}.csv" ] || continue
    for form in "svg size 1200,500 font 'sans-serif,14' background '#ffffff'" "pngcairo size 1800,750 font 'sans-serif,18' background '#ffffff'"; do
        case $form in svg*) ending=svg ;; *) ending=png ;; esac
        gnuplot -e "here='$here'; dir='$out'; net='${net%:*}'; top=${net#*:}; set terminal $form; set output '$out/${net%:*}.$ending'" \
            "$here/tasks.gp"
    done
done
for plot in pdadmm growth:logistic growth:cnn; do
    [ -f "$out/$(echo "$plot" | tr : _).csv" ] || continue
    for form in "svg size 1200,500 font 'sans-serif,14' background '#ffffff'" "pngcairo size 1800,750 font 'sans-serif,18' background '#ffffff'"; do
        case $form in svg*) ending=svg ;; *) ending=png ;; esac
        gnuplot -e "here='$here'; dir='$out'; net='${plot#*:}'; set terminal $form; set output '$out/$(echo "$plot" | tr : _).$ending'" \
            "$here/${plot%:*}.gp"
    done
done
echo "CSV files and plots (SVG, PNG) are in $out"

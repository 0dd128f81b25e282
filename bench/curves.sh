#!/bin/sh
# Draws docs/curves.svg from a run on MNIST (some minutes).      sh bench/curves.sh DATA
# DATA has MNIST's four files, plain or .gz, or a folder mnist with them. The figures go to docs/curves.dat.
set -eu
[ $# -eq 1 ] || { echo "usage: sh bench/curves.sh DATA" >&2; exit 2; }
mkdir -p build docs
${CC:-cc} -std=c99 -O2 -I. bench/curves.c -o build/curves -lpthread
build/curves "$1" > build/curves.dat
mv build/curves.dat docs/curves.dat
gnuplot bench/curves.gp
echo "docs/curves.dat and docs/curves.svg are written"

#!/bin/sh
# Extracts the programs a reader would copy - every ```c block of README.md that has a main(), and the quick start at the top of
# badm.h - compiles each as C99 and as C++11, with warnings as errors, and runs both.
#
#   sh tests/readme.sh [DIR]        DIR: where to put them (build/readme)
out=${1:-build/readme}
mkdir -p "$out"
rm -f "$out"/readme_*.c

awk -v out="$out" '
    /^```c$/ { inside = 1; text = ""; next }
    /^```$/ { if (inside && text ~ /int main\(/) printf "%s", text > (out "/readme_" ++n ".c"); inside = 0; next }
    inside { text = text $0 "\n" }' README.md || exit 1
awk '/^   THE METHOD/ { exit } started { sub(/^       /, ""); print } /^   QUICK START/ { started = 1 }' badm.h >"$out/quickstart.c"

bad=0 n=0
for file in "$out/quickstart.c" "$out"/readme_*.c; do
    grep -q 'int main(' "$file" || { echo "$file: no program found"; bad=1; continue; }
    n=$((n + 1))
    name=$(basename "$file" .c)
    for how in "cc -std=c99 -pedantic-errors" "c++ -x c++ -std=c++11 -Wpedantic"; do
        if ! $how -Wall -Wextra -Werror -O1 -I. "$file" -o "$out/$name" -lpthread; then echo "$file: does not compile: $how"; bad=1; continue; fi
        # In a folder of its own: a program may write files.
        mkdir -p "$out/run"
        (cd "$out/run" && "../$name") || { echo "$file: ended with status $?: $how"; bad=1; }
    done
done
echo "$n programs"
exit $bad

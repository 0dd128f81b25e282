#!/bin/sh
# Which lines of badm.h do the test programs reach? Prints the uncovered ones and RESULT line_coverage <percent>; exit 1 below 95.
#
#   sh tests/coverage.sh
#
# Every test program has its own copy of badm.h inside, so the counts of all of them are merged line by line: a line is code if it
# is code in one of them, and covered if one of them ran it.
bar=95
dir=build/coverage
command -v gcov >/dev/null 2>&1 || { echo "gcov not found (Debian package: gcc)"; exit 1; }

rm -rf "$dir"
make -s -j"${JOBS:-1}" BUILD="$dir" CC=gcc CFLAGS="-O0 -g --coverage" tests || exit 1
JOBS=${JOBS:-1} sh tests/run.sh "$dir/tests" || exit 1

for data in "$dir"/tests/*.gcda; do
    gcov -t "$data" 2>/dev/null |
        awk -F: '/:    0:Source:/ { header = $4 ~ /badm\.h$/ } header && $2 + 0 > 0 { print }'
done | awk -F: '
    { count = $1; line = $2 + 0; gsub(/[ *]/, "", count) }
    count == "-" { next }
    { code[line] = 1; text[line] = $0; sub(/^[^:]*:[^:]*:/, "", text[line]) }
    count + 0 > 0 { run[line] = 1 }
    line > last { last = line }
    END {
        for (i = 1; i <= last; i++) if (i in code) {
            lines++
            if (i in run) covered++
            else printf "badm.h:%d:%s\n", i, text[i]
        }
        if (lines) printf "%d of %d lines\nRESULT line_coverage %.2f\n", covered, lines, 100 * covered / lines
    }' >"$dir/report"
cat "$dir/report"
awk -v bar=$bar '/^RESULT/ { found = 1; exit !($3 >= bar) } END { if (!found) exit 1 }' "$dir/report"

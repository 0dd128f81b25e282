#!/bin/sh
# `make mutants`: plants the faults of tests/mutants.txt in copies of badm.h, one at a time, and runs the tests on each copy.
#
#   sh tests/mutants.sh [FIRST-LAST]        e.g. 7-12; make mutants RANGE=7-12
#
# A fault is killed by the first test program that fails, crashes or hangs (2 minutes). Prints those that survive and
# RESULT mutants_killed <n>; exit 1 when fewer than nine in ten are killed, or when one does not apply or compile.
#
# mutants.txt has three lines a fault: "KIND SECTION TEST...", the kind of fault, where it is and which test programs to try first;
# "- " and a text that stands exactly once in badm.h; "+ " and what replaces it. Lines that begin with # are comments.
. tests/parallel.sh

list=$PWD/tests/mutants.txt
root=build/mutants
flags=-O0                       # to compile is most of the work
export TEST_SECONDS=120
command -v timeout >/dev/null 2>&1 || { echo "timeout not found (Debian package: coreutils)"; exit 1; }

total=$(grep -c '^- ' "$list")
first=1 last=$total
case ${1-} in
    '') ;;
    *-*) first=${1%-*} last=${1#*-} ;;
    *) first=$1 last=$1 ;;
esac

# field N LETTER: the header (h), the original (-) or the replacement (+) of fault N.
field()
{
    awk -v n="$1" -v letter="$2" '
        /^#/ || /^$/ { next }
        /^[^-+]/ { i++; if (i == n && letter == "h") print; next }
        i == n && substr($0, 1, 1) == letter { print substr($0, 3) }' "$list"
}

# plant N FROM TO: badm.h with fault N; fails unless its text stands there exactly once.
plant()
{
    original=$(field "$1" -) replacement=$(field "$1" +) awk '
        { rest = $0; line = ""
          while ((at = index(rest, ENVIRON["original"])) > 0) {
              line = line substr(rest, 1, at - 1) ENVIRON["replacement"]
              rest = substr(rest, at + length(ENVIRON["original"]))
              found++
          }
          print line rest }
        END { exit found != 1 }' "$2" >"$3"
}

# new_tree NAME: a copy of what the tests need.
new_tree()
{
    rm -rf "$root/$1"
    mkdir -p "$root/$1"
    cp -R Makefile badm.h badm.c tests "$root/$1/"
    [ ! -d examples ] || cp -R examples "$root/$1/"
}

# fails NAME TEST: does this test program fail in that tree?
fails()
{
    ! (cd "$root/$1" && make -s CFLAGS=$flags "build/tests/$2" >/dev/null 2>&1 && sh tests/run.sh build/tests '' "$2" >/dev/null 2>&1)
}

all_tests=$(for file in tests/test_*.c; do name=${file#tests/}; echo "${name%.c}"; done)

try()
{
    new_tree "tree$1"
    tree=$root/tree$1
    what="$1 ($(field "$1" h | awk '{ print $1 ", " $2 }'))"
    result=survived
    if ! plant "$1" badm.h "$tree/badm.h"; then
        result=broken what="$what: its text does not stand in badm.h exactly once"
    elif ! (cd "$tree" && ${CC:-cc} -std=c99 -fsyntax-only badm.c >/dev/null 2>&1); then
        result=broken what="$what: does not compile"
    else
        for test in $(printf '%s\n' $(field "$1" h | cut -s -d ' ' -f 3-) $all_tests | awk '!seen[$0]++'); do
            if fails "tree$1" "$test"; then result=killed what="$what by $test"; break; fi
        done
    fi
    rm -rf "$tree"
    echo "$result" >"$root/state/$1/result"
    echo "$result $what"
    if [ $result = survived ]; then echo "    - $(field "$1" -)"; echo "    + $(field "$1" +)"; fi
}

# A test that fails without any fault would kill them all.
new_tree plain
(cd "$root/plain" && make -s -j"${JOBS:-1}" CFLAGS=$flags tests && JOBS=${JOBS:-1} sh tests/run.sh build/tests) >"$root/plain.log" 2>&1 ||
    { tail -n 20 "$root/plain.log"; echo "the tests fail without any fault"; exit 1; }
rm -rf "$root/plain"

numbers=$(awk -v a="$first" -v b="$last" 'BEGIN { for (i = a; i <= b; i++) print i }')
in_parallel "${JOBS:-1}" "$root/state" try $numbers

for n in $numbers; do cat "$root/state/$n/result" 2>/dev/null || echo broken; done | awk '
    { n[$1]++ }
    END { printf "%d of %d killed, %d broken\nRESULT mutants_killed %d\n", n["killed"], NR, n["broken"], n["killed"]
          exit n["broken"] > 0 || n["killed"] < 0.9 * NR }'

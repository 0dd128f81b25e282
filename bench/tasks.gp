# Held-out loss of one task against steps and against seconds.      gnuplot -e "here=...; dir=...; net='gpt'; top=...; set output ..."
load here . "/style.gp"
set datafile separator ","
methods = "BADM_orthogonal BADM_diagonal BADM_plain Muon NAdamW AdamW Adam RMSProp Nesterov"
title(who) = system("echo " . who . " | tr _ ' '")
seed1(who) = sprintf("< awk -F, '$1 == \"%s\" && $3 == 1' '%s/curves_%s.csv'", who, dir, net)
set yrange [*:top]
set key top right
set multiplot layout 1, 2 title net . ": held-out loss, seed 1, each method at its best step size"
set xlabel "steps"
set ylabel "held-out loss"
plot for [i = 1:words(methods)] seed1(word(methods, i)) using 4:7 with lines lw (i < 4 ? 3 : 1.5) lc i title title(word(methods, i))
set xlabel "seconds of training, 2 workers"
unset key
plot for [i = 1:words(methods)] seed1(word(methods, i)) using 5:7 with lines lw (i < 4 ? 3 : 1.5) lc i notitle
unset multiplot

# Batch size over epochs, and what was reached over seconds, of one task.      gnuplot -e "here=...; dir=...; net='logistic'; set output ..."
load here.'/style.gp'
f = csv('growth_'.net)
ways = 'small large adabatch divebatch'
array colour[4] = [black, grey, orange, blue]
one(i) = sprintf("< awk -F, '$1 == \"%s\" && $2 == 1' '%s'", word(ways, i), f)
set multiplot layout 1, 2 title net.': batches that grow, seed 1'
set xlabel 'epoch'
set ylabel 'batch size'
set logscale y 2
set key top left
plot for [i = 1:4] one(i) using 3:4 with steps lc rgb colour[i] lw 2 title word(ways, i)
unset logscale y
set xlabel 'seconds of training, 2 workers'
set ylabel 'held-out loss'
unset key
plot for [i = 1:4] one(i) using 6:7 with lines lc rgb colour[i] lw 2
unset multiplot

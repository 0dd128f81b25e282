# BADM against its relatives: training loss after each epoch, mean of the seeds, band from the smallest to the largest.
load here.'/style.gp'
set title 'MNIST, 784-256-128-10, batch 128, linear decay over the run, best step size of each'
set xlabel 'epoch'
set ylabel 'training loss (after the epoch)'
set logscale y
set format y '10^{%T}'
set key outside right center spacing 1.3 samplen 2
stats csv('compare_curves') using 1 nooutput
last = STATS_max
set xrange [1:last]
set style fill solid 0.15 noborder
stats csv('compare_curves') using (column('adam')) every ::(int(STATS_records) - 1) nooutput
adam = STATS_max
f = csv('compare_curves')
plot adam lc rgb black dt 3 lw 1 title "Adam's final loss", \
     f using 1:'badm_orthogonal_min':'badm_orthogonal_max' with filledcurves lc rgb vermilion, \
     f using 1:'badm_diagonal_min':'badm_diagonal_max' with filledcurves lc rgb blue, \
     f using 1:'adam_min':'adam_max' with filledcurves lc rgb black, \
     f using 1:'badm_orthogonal' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title 'BADM orthogonal', \
     f using 1:'badm_diagonal' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title 'BADM diagonal', \
     f using 1:'badm_plain' with linespoints lc rgb green lw 2.5 pt 7 ps 0.6 title 'BADM plain', \
     f using 1:'adam' with lines lc rgb black lw 2 title 'Adam', \
     f using 1:'nadam' with lines lc rgb grey lw 2 title 'NAdam', \
     f using 1:'nesterov' with lines lc rgb sky lw 2 dt 2 title 'Nesterov', \
     f using 1:'muon' with lines lc rgb purple lw 2 dt 2 title 'Muon'

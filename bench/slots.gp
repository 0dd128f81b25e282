# What S gradients a step tell: training loss after each epoch, mean of the seeds, band from the smallest to the largest.
load here.'/style.gp'
set title 'MNIST, 784-256-128-10, diagonal metric, batch 128 in S = 8, best step size of each'
set xlabel 'epoch'
set ylabel 'training loss (after the epoch)'
set logscale y
set xtics 1
set key outside right center spacing 1.3 samplen 2
set style fill solid 0.15 noborder
f = csv('slots_curves')
plot f using 1:'usual_min':'usual_max' with filledcurves lc rgb black, \
     f using 1:'both_min':'both_max' with filledcurves lc rgb vermilion, \
     f using 1:'usual' with linespoints lc rgb black lw 2 pt 7 ps 0.6 title 'usual', \
     f using 1:'mean_of_squares' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title 'mean of squares', \
     f using 1:'shrunk' with linespoints lc rgb green lw 2.5 pt 7 ps 0.6 title 'shrunk', \
     f using 1:'both' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title 'both'

# Samples a second against sub-batches, for one and two workers.
load here.'/style.gp'
f = csv('speed')
set multiplot layout 1,2 title 'Training 784-256-128-10 (median of the rounds)'
set xlabel 'sub-batches S'
set ylabel 'thousand samples a second'
set logscale x 2
set xrange [0.8:20]
set yrange [0:*]
set key bottom right spacing 1.3 samplen 2
do for [batch in '128 1024'] {
    set title 'batch '.batch
    of(w) = sprintf("< grep '^%s,[0-9]*,%d,' %s", batch, w, f)
    plot of(2) using 2:($4/1e3) with linespoints lc rgb vermilion lw 2.5 pt 7 title '2 workers', \
         of(1) using 2:($4/1e3) with linespoints lc rgb blue lw 2.5 pt 7 title '1 worker'
}
unset multiplot

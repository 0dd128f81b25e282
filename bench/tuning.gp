# The grids: held-out error against step size, in units of the chosen step size.
load here.'/style.gp'
set title 'Tuning: error on 5,000 held-out training images'
set xlabel 'step size / chosen step size'
set ylabel 'held-out error, %'
set logscale x 2
set logscale y
set format x '%g'
set yrange [:12]
set key outside right center spacing 1.3 samplen 2
f = csv('compare_tuning')
of(name) = sprintf("< grep '^%s,' %s", name, f)
plot of('badm_orthogonal') using 3:(100*(1-$4)) with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title 'BADM orthogonal', \
     of('badm_diagonal') using 3:(100*(1-$4)) with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title 'BADM diagonal', \
     of('badm_plain') using 3:(100*(1-$4)) with linespoints lc rgb green lw 2.5 pt 7 ps 0.6 title 'BADM plain', \
     of('adam') using 3:(100*(1-$4)) with linespoints lc rgb black lw 2 pt 6 ps 0.6 title 'Adam', \
     of('nadam') using 3:(100*(1-$4)) with linespoints lc rgb grey lw 2 pt 6 ps 0.6 title 'NAdam', \
     of('nesterov') using 3:(100*(1-$4)) with linespoints lc rgb sky lw 2 dt 2 pt 6 ps 0.6 title 'Nesterov', \
     of('muon') using 3:(100*(1-$4)) with linespoints lc rgb purple lw 2 dt 2 pt 6 ps 0.6 title 'Muon'

# How far the collapsed and the per-slot form are apart, before and after the short last batch of the first epoch.
load here.'/style.gp'
f = csv('forms')
set title 'Collapsed against per slot: MNIST, batches of 128 in 4 slots, step 0.1'
set xlabel 'step'
set ylabel '|w_{collapsed} - w_{per slot}| / |w - w_0|'
set logscale y
set format y '10^{%T}'
set key outside right center spacing 1.3 samplen 2 title 'last batch'
plot f using 1:'last_3' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title '3: one slot empty', \
     f using 1:'last_7' with linespoints lc rgb orange lw 2.5 pt 7 ps 0.6 title '7: 2, 2, 2, 1', \
     f using 1:'last_98' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title '98: 25, 25, 24, 24', \
     f using 1:'last_96' with linespoints lc rgb black lw 2 pt 6 ps 0.6 title '96: 24 each'

# Local steps: training loss against gradients computed and against exchanges between the machines.
load here.'/style.gp'
f = csv('local')
set multiplot layout 1,2 title '784-256-128-10 on 10,000 MNIST images, S = 4, constant step'
set logscale y
set format y '10^{%T}'
set ylabel 'training loss'
set yrange [*:20]
set key off
set title 'equal gradients'
set xlabel 'epochs of gradients'
plot f using 1:'K1' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title 'K = 1, batch 100', \
     f using 1:'K4' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title 'K = 4, batch 100', \
     f using 1:'batch_4x' with linespoints lc rgb black lw 2 pt 6 ps 0.6 title 'K = 1, batch 400', \
     f using 1:'batch_4x_step_4x' with linespoints lc rgb grey lw 2 dt 2 pt 6 ps 0.6 title 'same, 4 times the step'
set title 'equal exchanges'
set xlabel 'exchanges'
set logscale x
set key on top right spacing 1.3 samplen 2
plot f using 'K1_exchanges':'K1' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.6 title 'K = 1, batch 100', \
     f using 'K4_exchanges':'K4' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.6 title 'K = 4, batch 100', \
     f using 'batch_4x_exchanges':'batch_4x' with linespoints lc rgb black lw 2 pt 6 ps 0.6 title 'K = 1, batch 400', \
     f using 'batch_4x_step_4x_exchanges':'batch_4x_step_4x' with linespoints lc rgb grey lw 2 dt 2 pt 6 ps 0.6 title 'same, 4 times the step'
unset multiplot

# B = 2, S = 2: the training loss, and the memory of the trainer for each size of micro-batch.
load here.'/style.gp'
set multiplot layout 1,2 title 'MNIST in 2 batches of 30,000 images an epoch, 2 sub-batches of 15,000'
set title 'micro-batches of 500'
set xlabel 'epoch (2 steps)'
set ylabel 'training loss'
set logscale y
set format y '%g'
f = csv('batches_curves')
set key top right spacing 1.3 samplen 2
plot f using 1:'badm_orthogonal' with linespoints lc rgb vermilion lw 2.5 pt 7 ps 0.5 title 'BADM orthogonal', \
     f using 1:'badm_diagonal' with linespoints lc rgb blue lw 2.5 pt 7 ps 0.5 title 'BADM diagonal', \
     f using 1:'badm_plain' with linespoints lc rgb green lw 2.5 pt 7 ps 0.5 title 'BADM plain', \
     f using 1:'adam' with lines lc rgb black lw 2 title 'Adam'
set title 'memory of the trainer'
set xlabel 'images of a sub-batch at a time'
set ylabel 'MB'
set format y '%g'
set boxwidth 0.6
set style fill solid 0.7
set yrange [1:]
f = csv('batches_memory')
plot f using 0:($3/1e6):xtic(2) skip 1 with boxes lc rgb blue, \
     f using 0:($3/1e6):(sprintf('%.1f', $3/1e6)) skip 1 with labels offset 0,0.7
unset multiplot

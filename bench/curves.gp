# docs/curves.svg from docs/curves.dat, which bench/curves.sh writes.      gnuplot bench/curves.gp
set terminal svg size 900,400 font 'sans-serif,13' background '#ffffff'
set output 'docs/curves.svg'
data = 'docs/curves.dat'
set grid lc rgb '#dddddd' lt 1 lw 0.7
set border 3 lc rgb '#444444'
set tics nomirror textcolor rgb '#222222'
set xlabel 'epoch'
set xrange [0:5]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
# The blocks: 0 BADM, 1 Nesterov, 2 BADM diagonal, 3 NAdam, 4 Adam.
set style line 1 lc rgb '#D55E00' lw 2.5
set style line 2 lc rgb '#E69F00' lw 2 dt 2
set style line 3 lc rgb '#0072B2' lw 2.5
set style line 4 lc rgb '#56B4E9' lw 2 dt 2
set style line 5 lc rgb '#000000' lw 2 dt 4

set multiplot layout 1,2 margins 0.07,0.98,0.16,0.90 spacing 0.09
set title 'training loss, mean of each quarter epoch'
set logscale y
set yrange [0.01:0.7]
set key top right spacing 1.2 samplen 2.5
plot for [i=0:4] data index i using 1:2 with lines ls i+1 title columnheader(1)
set title 'test error, %'
set yrange [1.5:10]
set ytics (2, 3, 4, 6, 8, 10)
unset key
plot for [i=0:4] data index i using 1:(100*$3) with lines ls i+1 title columnheader(1)
unset multiplot

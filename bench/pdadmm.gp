# pdADMM's Lagrangian, and k min |change|^2, which falls if min |change|^2 is o(1/k).      gnuplot -e "here=...; dir=...; set output ..."
load here.'/style.gp'
set logscale xy
set format y '10^{%T}'
set xlabel 'iteration k'
set multiplot layout 1, 2 title 'pdADMM on 10,000 MNIST images of 14 x 14, 5 layers of 100, nu 0.001, rho 4 nu'
set ylabel 'augmented Lagrangian'
plot csv('pdadmm') using 1:3 with lines lc rgb blue lw 2
set ylabel 'k min_{i <= k} |change|^2'
least = 1e30
plot csv('pdadmm') using 1:(least = $6 * $6 < least ? $6 * $6 : least, $1 * least) with lines lc rgb vermilion lw 2
unset multiplot

# min |grad F|^2 against steps, one curve a batch size.
load here.'/style.gp'
f = csv('gradient')
set title 'a9a, logistic regression, BADM plain'
set xlabel 'steps K'
set ylabel 'min_{k <= K} |grad F(w_k)|^2'
set logscale xy
set format '10^{%T}'
set key outside right center spacing 1.3 samplen 2
stats f using 2 skip 1 nooutput
first = STATS_max
array colour[5] = [vermilion, orange, green, blue, black]
plot for [i=2:6] f using 1:i with lines lc rgb colour[i-1] lw 2.5 title i < 6 ? 'batch '.columnheader(i) : 'full batch', \
     first/x lc rgb grey dt 2 lw 1.5 title '1/K'

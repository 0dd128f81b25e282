# What the plots share. The caller sets `dir` (folder of the CSV files), the terminal and the output.
set datafile separator ','
set datafile missing 'never'
set grid lc rgb '#dddddd' lt 1 lw 0.7
set border 3 lc rgb '#444444'
set tics nomirror textcolor rgb '#222222'
set key noautotitle

# Okabe and Ito's colours, which colour-blind readers can tell apart.
vermilion = 0xD55E00; blue = 0x0072B2; green = 0x009E73; purple = 0xCC79A7; orange = 0xE69F00; sky = 0x56B4E9
black = 0x000000; grey = 0x888888

csv(name) = dir.'/'.name.'.csv'

#!/bin/sh
# Writes the figures of a run of experiments.sh as Markdown.      sh bench/results.sh FOLDER > bench/RESULTS.md
# FOLDER has the CSV files. An experiment that was not run is left out.
set -eu
out=$1

# table FILE 'heading|heading' 'awk expression that prints the cells of a row with | between them'
table() {
    echo
    echo "| $2 |" | sed 's/|/ | /g; s/  */ /g; s/^ *//; s/ *$//'
    echo "$2" | awk -F'|' '{ printf "|"; for (i = 1; i <= NF; i++) printf " --- |"; print "" }'
    awk -F, "NR > 1 { printf \"| \"; $3; print \" |\" }" "$out/$1.csv"
}
figure() { sed -n "s/^RESULT $2 //p" "$out/$1.txt"; }
have() { [ -s "$out/$1.csv" ] && [ -s "$out/$1.txt" ]; }
have_table() { [ -s "$out/$1.csv" ] && [ -s "$out/$2.txt" ]; }

cat <<END
# Measured

\`make experiments DATA=folder\` runs all of this and draws the plots; \`sh bench/results.sh FOLDER\` writes its tables, up to the tasks against PyTorch; conclusions are by hand. The network is 784-256-128-10
with relu, pixels scaled to 0..1; "step" is lr, or 1/sigma for BADM; momentum 0.9 everywhere, that is rho = 9 sigma. Machine: $(tr -s ' \n' ' ' < "$out/machine.txt")
END

if have_table batches_curves batches; then
    cat <<'END'

## MNIST in B = 2 batches, S = 2

`experiments batches`: two batches of 30,000 images an epoch, each in two sub-batches of 15,000, in micro-batches of 500; 15 epochs, so 30 steps, linear decay.
Step sizes were chosen on 5,000 held-out training images after training on 5,000 others with as many steps. One seed.

| method | step | training loss | test accuracy |
| --- | --- | --- | --- |
END
    for name in badm_plain badm_diagonal badm_orthogonal adam; do
        echo "| $name | $(figure batches batches_${name}_step) | $(figure batches batches_${name}_train_loss)" \
             "| $(figure batches batches_${name}_test_accuracy) |"
    done
    echo
    echo "What the trainer takes from memory (the same bits for a given micro-batch, whatever the number of workers):"
    table batches_memory 'images at a time|MB' 'printf "%d | %.1f", $2, $3 / 1e6'
fi

if have_table compare_final compare; then
    cat <<'END'

## BADM against its relatives

`experiments compare`: batch 128 in 4 sub-batches, 10 epochs, linear decay over the run, 3 seeds (initial weights and order of the images, the same for all).
Step sizes: grids of equal length, a factor of 2 apart, 3 epochs on 55,000 images, chosen by the accuracy on the 5,000 held out; as long as a winner was at
an edge, all grids grew by one. Then trained on all 60,000; the test images were looked at once a run, at the end. The training loss is that of all training
images after the epoch, mean of the seeds; the last column is the first epoch at which it is below Adam's final one.
END
    table compare_final 'method|step|test accuracy (smallest to largest)|training loss|seconds an epoch|epochs to Adam'\''s loss' \
        'printf "%s | %g | %.4f (%.4f to %.4f) | %.3g | %.2f | %s", $1, $2, $3, $4, $5, $6, $8, $7'
    echo
    echo "Of 0.001, 0.002 and 0.004, Adam's best step on the held-out images is $(figure compare adam_best_step_of_0.001_0.002_0.004)."
    echo
    echo "The grids:"
    table compare_tuning 'method|step|held-out accuracy|held-out loss' 'printf "%s | %g | %.4f | %.4f", $1, $2, $4, $5'
fi

if have speed; then
    cat <<'END'

## Speed as S and W grow

`experiments speed`: whole training steps, plain metric, no evaluation. Medians of 9 rounds; the ratio to one worker is the median of the rounds' own ratios.
END
    table speed 'batch|sub-batches S|workers W|samples a second|to S = 1, W = 1|to W = 1' 'printf "%d | %d | %d | %d | %.2f | %.2f", $1, $2, $3, $4, $5, $6'
fi

if have local; then
    cat <<'END'

## Local steps

`experiments local`: 10,000 MNIST images, 10 epochs, S = 4, per-slot form, plain metric, constant rate, mean of 3 seeds. All four compute the same number of
gradients; the last three exchange a quarter as often as the first. A batch four times larger at the same step is far behind local steps; with four times the step it is not.

| | batch | step | training loss | ratio to K = 1 |
| --- | --- | --- | --- | --- |
END
    echo "| K = 1 | 100 | 0.5 | $(figure local local_K1_train_loss) | 1 |"
    echo "| K = 4 | 100 | 0.5 | $(figure local local_K4_train_loss) | $(figure local local_steps_4_loss_ratio) |"
    echo "| K = 1 | 400 | 0.5 | $(figure local local_batch_4x_train_loss) | $(figure local batch_4x_loss_ratio) |"
    echo "| K = 1 | 400 | 2 | $(figure local local_batch_4x_step_4x_train_loss) | $(figure local batch_4x_step_4x_loss_ratio) |"
fi

if have gradient; then
    cat <<'END'

## The gradient against steps

`experiments gradient`: logistic regression on a9a from w = 0, plain metric, rho = 1.8 (about L), sigma = 0.2, 3000 steps, mean of 3 seeds; |grad F|^2 over
all 32,561 rows at every one of the first ten steps, then at 16 or so a decade. Theory: the smallest is O(1/K + floor), the floor from the sampling of batches.

| batch | smallest squared gradient |
| --- | --- |
END
    sed -n 's/^RESULT gradient_floor_batch_\([0-9]*\) \(.*\)/| \1 | \2 |/p' "$out/gradient.txt"
    echo
    echo "Fitted slope in log-log, full batch, from step 10: $(figure gradient gradient_slope_full_batch) (1/K would be -1)." \
         "Slope of the floor in the batch size, 16 to 1024: $(figure gradient gradient_floor_slope_in_batch)."
fi

if have forms; then
    cat <<'END'

## Collapsed against per slot when the last batch is short

`experiments forms`: batches of 128 in 4 slots, step 0.1, the last batch of each of two epochs short. |collapsed - per slot| as a share of |w - w_0|.

| last batch | before it | after it | an epoch later |
| --- | --- | --- | --- |
END
    for n in 96 98 7 3; do
        echo "| $n | $(figure forms forms_last_batch_${n}_before) | $(figure forms forms_last_batch_${n}_after) | $(figure forms forms_last_batch_${n}_an_epoch_later) |"
    done
    echo
    echo "96 leaves the weights of the slots as they are (24 images each), so only rounding is left: the control."
fi

if have_table slots_final slots; then
    cat <<'END'

## What S gradients a step tell

`experiments slots`: the diagonal metric, batch 128 in S = 8, 3 epochs, linear decay. The second moment averages the square of the mean gradient (usual) or the
mean of the slots' squares; "shrunk" multiplies each coordinate of the mean by signal / (signal + noise), the noise being the variance of the mean as the S
gradients show it. Step sizes as above; 5 paired seeds; the interval is that of the paired differences to the usual form (95 %).
END
    table slots_final 'second moment, step|step size|test accuracy (smallest to largest)|less usual|training loss|ratio to usual' \
        'printf "%s | %g | %.4f (%.4f to %.4f) | %+.4f +- %.4f | %.4f | %.3f", $1, $2, $3, $4, $5, $6, $7, $8, $9'
fi

if [ -s "$out/tasks.txt" ]; then
    cat <<'END'

## The four kinds of task

`bench/task_methods.py`: a character-level GPT on tiny Shakespeare (gpt), a convolutional network on Fashion-MNIST (cnn), a variational autoencoder on
MNIST (vae; the loss is -ELBO) and a graph convolution on Cora (gcn). Each method with the best of five step sizes, each twice the one before, the window
moved until the best is inside it (held-out loss at the end, seed 101); then seeds 1 to 3. Warm-up, if any, and linear decay to 0 are the same for all.
Losses and accuracies are on held-out training data. An accuracy of -1: there is none.
END
    sed -n '/^|/p; /^$/p' "$out/tasks.txt"
fi

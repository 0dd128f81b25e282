/* FANN's side of speed.py, by the protocol of worker.h.      cc -std=c99 -O2 -I. bench/fann.c -lfann -lm

       fann NET ALGORITHM       NET: xor 2-8-1, 4 samples a step; small 16-32-32-4, 16 samples a step of 1,024.
                                ALGORITHM: batch (gradient descent), rprop

   FANN has neither cross entropy nor relu nor batches drawn anew. The nearest: squared error; sigmoid outputs; hidden units tanh
   (xor) or linear between bounds (small: as cheap as relu); the 1,024 samples as 64 data sets made beforehand, one a step in turn,
   so FANN does not gather. Both sides compute all gradients of a batch and then move the weights once. */
#include "worker.h"

#include <fann.h>
#include <string.h>

#define SETS 64

typedef struct work { struct fann *net; struct fann_train_data *data[SETS]; size_t sets, next; float error; } work;

static void run(void *user, size_t steps)
{
    work *w = (work *)user;
    for (; steps > 0; steps--) {
        w->error = fann_train_epoch(w->net, w->data[w->next]);
        if (++w->next == w->sets) w->next = 0;
    }
}

static struct fann_train_data *make_data(unsigned samples, unsigned inputs, unsigned outputs)
{
    struct fann_train_data *d = fann_create_train(samples, inputs, outputs);
    unsigned i, j;
    if (!d) worker_die("fann", "not enough memory");
    for (i = 0; i < samples; i++) {
        unsigned label = (unsigned)rand() % outputs;
        for (j = 0; j < inputs; j++) d->input[i][j] = inputs == 2 ? (float)(i >> j & 1) : (float)rand() / (float)RAND_MAX;
        for (j = 0; j < outputs; j++) d->output[i][j] = outputs == 1 ? (float)((i ^ i >> 1) & 1) : j == label ? 1.0f : 0.0f;
    }
    return d;
}

int main(int argc, char **argv)
{
    work w;
    int is_xor = argc == 3 && strcmp(argv[1], "xor") == 0, is_rprop = argc == 3 && strcmp(argv[2], "rprop") == 0;
    if (argc != 3 || (!is_xor && strcmp(argv[1], "small") != 0) || (!is_rprop && strcmp(argv[2], "batch") != 0))
        worker_die("usage", "fann xor|small batch|rprop");
    memset(&w, 0, sizeof w);
    srand(1);
    w.net = is_xor ? fann_create_standard(3, 2, 8, 1) : fann_create_standard(4, 16, 32, 32, 4);
    if (!w.net) worker_die("fann", "not enough memory");
    fann_set_activation_function_hidden(w.net, is_xor ? FANN_SIGMOID_SYMMETRIC : FANN_LINEAR_PIECE_SYMMETRIC);
    fann_set_activation_function_output(w.net, FANN_SIGMOID);
    fann_set_train_error_function(w.net, FANN_ERRORFUNC_LINEAR);
    fann_set_training_algorithm(w.net, is_rprop ? FANN_TRAIN_RPROP : FANN_TRAIN_BATCH);
    for (w.sets = 0; w.sets < (is_xor ? 1 : SETS); w.sets++)
        w.data[w.sets] = is_xor ? make_data(4, 2, 1) : make_data(16, 16, 4);
    worker_serve(run, &w, 0);
    printf("loss %g\n", (double)w.error);
    while (w.sets > 0) fann_destroy_train(w.data[--w.sets]);
    fann_destroy(w.net);
    return 0;
}

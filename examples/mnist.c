/* MNIST in 60 lines:  cc -O2 -I. examples/mnist.c -o mnist -lpthread && ./mnist DATA
   DATA holds train-images-idx3-ubyte and its three companions, plain or .gz, in itself or in a folder mnist. */
#define BADM_IMPLEMENTATION
#include "example_data.h"       /* finds and unpacks the files; includes badm.h */

typedef struct { badm_linear fc1, fc2; badm_array images, labels; } digits;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const digits *d = (const digits *)user;
    badm_tensor *x = badm_rows_u8(t, (const uint8_t *)d->images.data, 784, 1 / 255.0f, 0, b);  /* [count,784] */
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, d->fc1, x));                          /* [count,128] */
    badm_tensor *logits = badm_linear_forward(t, d->fc2, h);                                   /* [count,10] */
    return badm_cross_entropy(t, logits, badm_labels_u8(t, (const uint8_t *)d->labels.data, b));
}

static int on_progress(const badm_progress *p, void *user)
{
    (void)user;
    printf("\repoch %u  %5u of %u  loss %.4f  accuracy %.4f", p->epoch + 1, p->sample, p->samples,
           (double)p->loss, (double)p->accuracy);
    return fflush(stdout) != 0;         /* not 0 would stop the epoch */
}

static int failed(const char *why) { fprintf(stderr, "mnist: %s\n", why); return 1; }

int main(int argc, char **argv)
{
    char why[EXAMPLE_SENTENCE];
    badm_model *m = badm_model_new(1);
    digits train, test;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    int epoch;
    if (argc < 2) return failed("give the folder with MNIST's four files:  mnist DATA");
    if (!example_load_mnist(&train.images, argv[1], "train-images", why)) return failed(why);
    if (!example_load_mnist(&train.labels, argv[1], "train-labels", why)) return failed(why);
    if (!example_load_mnist(&test.images, argv[1], "t10k-images", why)) return failed(why);
    if (!example_load_mnist(&test.labels, argv[1], "t10k-labels", why)) return failed(why);
    test.fc1 = train.fc1 = badm_linear_new(m, "fc1", 784, 128);     /* two data sets, one network */
    test.fc2 = train.fc2 = badm_linear_new(m, "fc2", 128, 10);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &train; d.max_batch = 128; d.sub_batches = 4;
    d.sigma = 1; d.rho = 9;             /* step 1/sigma = 1, momentum rho/(rho+sigma) = 0.9 */
    d.schedule.kind = BADM_LINEAR_DECAY; d.schedule.total = 5 * train.images.shape[0] / 128;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return failed(badm_model_error(m));
    for (epoch = 0; epoch < 5; epoch++) {
        badm_result r = badm_epoch(tr, train.images.shape[0], 128, on_progress, NULL);
        if (r == BADM_OK) r = badm_evaluate(tr, NULL, &test, test.images.shape[0], &score);
        if (r != BADM_OK) return failed(badm_trainer_error(tr));
        printf("  test %.4f\n", (double)score.accuracy);
    }
    if (badm_save(m, "mnist.safetensors") != BADM_OK) return failed(badm_model_error(m));
    puts("saved mnist.safetensors; in Python: safetensors.torch.load_file(\"mnist.safetensors\")");
    badm_trainer_free(tr); badm_model_free(m);
    badm_array_free(&train.images); badm_array_free(&train.labels);
    badm_array_free(&test.images); badm_array_free(&test.labels);
    return score.accuracy > 0.97f ? 0 : failed("it should have come above 0.97");
}

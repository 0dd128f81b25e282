/* Batches that grow: the same network learns digits four times - with small batches, with large ones, with batches that double as
   the step decays (AdaBatch, arXiv 1712.02029) and with batches as large as the diversity of the gradients allows (DiveBatch,
   arXiv 2509.16173) - each until the same accuracy on held-out images. Shows batch, accuracy and time epoch by epoch; saves the
   curves and the last network.

       cc -O2 -I. examples/divebatch.c -o build/divebatch -lpthread && build/divebatch [DATA]

   DATA is a folder with the four IDX files of MNIST or Fashion-MNIST (plain or .gz; in the folder or in mnist/ below it).
   Without it the program draws its own digits. */
#define PROGRAM "divebatch"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */

enum { HIDDEN = 128, WAYS = 4 };

typedef struct options {
    const char *data, *out, *norms;
    uint32_t batch, max_batch, every, epochs, images, held_out, workers, seed;
    float lr, delta, target;
    badm_diversity diversity;
    int help;
} options;

static const char usage[] =
    "usage: divebatch [options] [DATA]\n"
    "Trains a network with fixed and with growing batches, to the same accuracy.\n"
    "DATA: a folder with MNIST's or Fashion-MNIST's IDX files, plain or .gz, in it or in mnist/ below it. Without it, digits are\n"
    "drawn.\n"
    "\n"
    "  --batch N        the smallest batch (32)\n"
    "  --max-batch N    the largest (1024)\n"
    "  --every N        epochs from one growth to the next (2)\n"
    "  --delta X        DiveBatch: share of the diversity that the batch takes (0.01)\n"
    "  --norms NAME     how diversity is measured: exact, or slots, an estimate from the sub-batches (exact)\n"
    "  --lr X           step size of the smallest batch, SGD with momentum 0.9 (0.02)\n"
    "  --target X       accuracy on the held-out images that ends a run (0.97)\n"
    "  --epochs N       or this many epochs (30)\n"
    "  --images N       learn from the first N training images only (all)\n"
    "  --held-out N     the last N training images, which are not learned from (5000)\n"
    "  --workers N      threads; any number gives the same result (one a core)\n"
    "  --seed N         initial weights and order of the images (1)\n"
    "  --out DIR        where divebatch.safetensors and divebatch.csv go (build if there is one, else .)\n"
    "  --help           this text\n";

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--batch", COUNT, &o->batch },       { "--max-batch", COUNT, &o->max_batch }, { "--every", COUNT, &o->every },
        { "--delta", POSITIVE, &o->delta },    { "--norms", TEXT, &o->norms },          { "--lr", POSITIVE, &o->lr },
        { "--target", POSITIVE, &o->target },  { "--epochs", COUNT, &o->epochs },       { "--images", COUNT, &o->images },
        { "--held-out", COUNT, &o->held_out }, { "--workers", COUNT, &o->workers },     { "--seed", COUNT, &o->seed },
        { "--out", TEXT, &o->out },            { "--help", FLAG, &o->help },            { "-h", FLAG, &o->help },
        { NULL, FLAG, NULL }
    };
    memset(o, 0, sizeof *o);
    o->batch = 32; o->max_batch = 1024; o->every = 2; o->epochs = 30; o->held_out = 5000; o->workers = badm_cpu_count(); o->seed = 1;
    o->lr = 0.02f; o->delta = 0.01f; o->target = 0.97f; o->norms = "exact"; o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    if (!strcmp(o->norms, "exact")) o->diversity = BADM_DIVERSITY_EXACT;
    else if (!strcmp(o->norms, "slots")) o->diversity = BADM_DIVERSITY_OF_SLOTS;
    else return complain("--norms needs exact or slots");
    if (o->batch < 4 || o->batch > o->max_batch) return complain("--batch needs at least 4, --max-batch at least as many");
    if (!o->every || !o->workers || !o->held_out) return complain("--every, --workers and --held-out need at least 1");
    if (!*o->out) return complain("--out needs a folder");
    return 1;
}

typedef struct network { badm_linear hidden, output; images of; } network;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    badm_tensor *x = badm_rows_u8(t, net->of.pixels, PIXELS, 1.0f / 255, 0, b);
    x = badm_linear_forward(t, net->output, badm_relu(t, badm_linear_forward(t, net->hidden, x)));
    return badm_cross_entropy(t, x, badm_labels_u8(t, net->of.labels, b));
}

static const char *const names[WAYS] = { "small", "large", "AdaBatch", "DiveBatch" };

/* What one way took to the target; epochs 0: it did not get there. */
typedef struct outcome { uint32_t epochs, batch; double seconds, right; } outcome;

/* One way from the weights of the seed. 0: a sentence has been printed. */
static int learn(int way, const options *o, const dataset *data, badm_model *m, FILE *csv, outcome *out)
{
    network net;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_growth g;
    badm_score score;
    int fine = 1, there = 0;
    memset(out, 0, sizeof *out);
    net.hidden = badm_linear_new(m, "hidden", PIXELS, HIDDEN);
    net.output = badm_linear_new(m, "output", HIDDEN, CLASSES);
    badm_growth_defaults(&g, way == 2 ? BADM_GROWTH_PERIODIC : way == 3 ? BADM_GROWTH_DIVERSE : BADM_GROWTH_NONE,
                         way == 1 ? o->max_batch : o->batch, o->max_batch);
    g.every = o->every;
    g.delta = o->delta;
    g.scale_step = 1;
    if (way == 1) { g.warmup = 2; g.baseline = o->batch; }
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &net; d.seed = o->seed; d.cancel = &cancelled; d.monitors = 0;
    d.max_batch = o->max_batch; d.micro_batch = 256; d.sub_batches = 4; d.workers = o->workers;
    d.method = badm_method_momentum();
    d.lr = o->lr * (float)g.batch / (float)o->batch;            /* the large batch's step is as much longer */
    d.rates = badm_growth_rates; d.rates_user = &g;
    if (way == 3) d.diversity = o->diversity;
    if (badm_model_result(m) != BADM_OK || badm_trainer_new(&tr, &d) != BADM_OK) return complain(badm_model_error(m));
    printf("\n%s\n", names[way]);
    while (fine && !there && !cancelled && g.epoch < o->epochs) {
        uint32_t batch = g.batch;
        double began = now();
        net.of = data->train;
        if (badm_growth_epoch(&g, tr, data->train.n, NULL, NULL) != BADM_OK) {
            if (!cancelled) fine = complain(badm_trainer_error(tr));
            break;
        }
        out->seconds += now() - began;
        net.of = data->test;
        if (badm_evaluate(tr, NULL, NULL, data->test.n, &score) != BADM_OK) { fine = complain(badm_trainer_error(tr)); break; }
        out->right = (double)score.accuracy;
        out->batch = batch;
        there = score.accuracy >= o->target;
        if (there) out->epochs = g.epoch;
        printf("  epoch %2lu   batch %4lu   step x %-7.3g right %.4f   %6.2f s", (unsigned long)g.epoch, (unsigned long)batch,
               (double)g.step, out->right, out->seconds);
        if (g.diversity > 0) printf("   diversity %.4g", (double)g.diversity);
        printf("\n");
        fflush(stdout);
        fprintf(csv, "%s,%lu,%lu,%.6g,%.6g,%.4f\n", names[way], (unsigned long)g.epoch, (unsigned long)batch, (double)g.diversity, out->right,
                out->seconds);
    }
    badm_trainer_free(tr);
    return fine;
}

static int learn_all(const options *o, const dataset *data)
{
    output_file csv;
    outcome found[WAYS];
    int way, fine = open_output(&csv, o->out, "divebatch.csv");
    if (!fine) return 0;
    fprintf(csv.f, "way,epoch,batch,diversity,right,seconds\n");
    for (way = 0; fine && way < WAYS && !cancelled; way++) {
        badm_model *m = badm_model_new(o->seed);
        fine = m ? learn(way, o, data, m, csv.f, &found[way]) : complain("not enough memory");
        if (fine && way == WAYS - 1 && !cancelled) fine = save_model(m, o->out, "divebatch.safetensors");
        badm_model_free(m);
    }
    fine = close_output(&csv) && fine;
    if (!fine || cancelled) return fine;
    printf("\n%-10s epochs to %.3f   seconds   last batch\n", "", (double)o->target);
    for (way = 0; way < WAYS; way++) {
        if (found[way].epochs) printf("%-10s %15lu %9.2f %12lu\n", names[way], (unsigned long)found[way].epochs, found[way].seconds,
                                      (unsigned long)found[way].batch);
        else printf("%-10s      %.4f only %9.2f %12lu\n", names[way], found[way].right, found[way].seconds, (unsigned long)found[way].batch);
    }
    if (found[0].epochs && found[3].epochs) printf("RESULT divebatch_time_vs_small %.3f\n", found[0].seconds / found[3].seconds);
    return 1;
}

int main(int argc, char **argv)
{
    options o;
    dataset data;
    int fine;
    if (!read_options(&o, argc, argv)) return 2;
    if (o.help) { fputs(usage, stdout); return 0; }
    signal(SIGINT, on_interrupt);
    if (!can_write_to(o.out)) return 1;
    fine = get_images(&data, o.data, o.images, o.held_out, o.max_batch);
    if (fine) {
        printf("%s: %lu images, judged by %lu others\n", data.title, (unsigned long)data.train.n, (unsigned long)data.test.n);
        fine = learn_all(&o, &data);
    }
    free_images(&data);
    return cancelled ? 130 : fine ? 0 : 1;
}

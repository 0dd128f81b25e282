/* A deep network without backpropagation: pdADMM (Wang et al., arXiv 2009.02868) trains a stack of relu layers on digits of 14 x 14
   pixels, all layers side by side, and deepens it on the way. Shows the augmented Lagrangian, how far the layers are from agreeing,
   and how well the network does on images that it does not learn from; saves the network and the curve.

       cc -O2 -I. examples/pdadmm.c -o build/pdadmm -lpthread && build/pdadmm [DATA]

   DATA is a folder with the four IDX files of MNIST or Fashion-MNIST (plain or .gz; in the folder or in mnist/ below it).
   Without it the program draws its own digits. */
#define PROGRAM "pdadmm"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */

enum { INPUTS = HALF_PIXELS, MAX_LAYERS = 64 };

typedef struct options {
    const char *data, *out;
    uint32_t layers, grow, width, iterations, images, held_out, workers, seed;
    float nu, rho;
    int help;
} options;

static const char usage[] =
    "usage: pdadmm [options] [DATA]\n"
    "Trains a deep network by pdADMM, without backpropagation.\n"
    "DATA: a folder with MNIST's or Fashion-MNIST's IDX files, plain or .gz, in it or in mnist/ below it. Without it, digits are\n"
    "drawn.\n"
    "\n"
    "  --layers N       linear layers (5)\n"
    "  --grow N         then as many more before the last, as identities, with as many iterations again (0)\n"
    "  --width N        of the hidden layers (200)\n"
    "  --iterations N   over all images (200)\n"
    "  --nu X           weight of the fits (0.001)\n"
    "  --rho X          weight of the constraints (nu/5; from 4 nu on the Lagrangian never grows, but all goes slower)\n"
    "  --images N       learn from the first N training images only (10000)\n"
    "  --held-out N     test on the last N training images, not on the test images: for choosing the values above\n"
    "  --workers N      threads; any number gives the same result (one a core)\n"
    "  --seed N         initial weights (1)\n"
    "  --out DIR        where pdadmm.safetensors and pdadmm.csv go (build if there is one, else .)\n"
    "  --help           this text\n";

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--layers", COUNT, &o->layers },           { "--grow", COUNT, &o->grow },           { "--width", COUNT, &o->width },
        { "--iterations", COUNT, &o->iterations },   { "--nu", POSITIVE, &o->nu },            { "--rho", POSITIVE, &o->rho },
        { "--images", COUNT, &o->images },           { "--held-out", COUNT, &o->held_out },   { "--workers", COUNT, &o->workers },
        { "--seed", COUNT, &o->seed },               { "--out", TEXT, &o->out },              { "--help", FLAG, &o->help },
        { "-h", FLAG, &o->help },                    { NULL, FLAG, NULL }
    };
    memset(o, 0, sizeof *o);
    o->layers = 5; o->width = 200; o->iterations = 200; o->images = 10000; o->workers = badm_cpu_count(); o->seed = 1;
    o->nu = 1e-3f; o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    if (!(o->rho > 0)) o->rho = 0.2f * o->nu;
    if (o->layers < 2 || o->layers + o->grow > MAX_LAYERS) return complain("--layers needs at least 2, with --grow at most 64");
    if (!o->width || !o->workers) return complain("--width and --workers need at least 1");
    if (!*o->out) return complain("--out needs a folder");
    return 1;
}

/* The network, as the tape computes it, and the images it looks at. */
typedef struct network { badm_linear layer[MAX_LAYERS]; uint32_t layers; const samples *of; } network;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    badm_tensor *x = badm_rows(t, net->of->x, INPUTS, b);
    uint32_t l;
    for (l = 0; l < net->layers; l++) x = badm_linear_forward(t, net->layer[l], l > 0 ? badm_relu(t, x) : x);
    return badm_cross_entropy(t, x, badm_labels(t, net->of->label, b));
}

/* Share of right answers; a trainer is what evaluates on the workers. -1: a sentence has been printed. */
static double accuracy(badm_model *m, network *net, const samples *of, uint32_t workers)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    net->of = of;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = net; d.max_batch = 250; d.sub_batches = 1; d.workers = workers;
    if (badm_trainer_new(&tr, &d) != BADM_OK) { complain(badm_model_error(m)); return -1; }
    if (badm_evaluate(tr, NULL, NULL, of->n, &score) != BADM_OK) { complain(badm_trainer_error(tr)); score.accuracy = -1; }
    badm_trainer_free(tr);
    return (double)score.accuracy;
}

/* One stage; `done` iterations were before it. 0: a sentence has been printed. */
static int iterate(badm_pdadmm *s, badm_model *m, network *net, const options *o, const samples *test, uint32_t done, FILE *csv)
{
    uint32_t k, every = o->iterations < 20 ? 1 : o->iterations / 20;
    badm_pdadmm_report r;
    double spent = 0;
    printf("\n%lu layers\niteration    Lagrangian   loss of z   |p - q|    change    right   seconds\n", (unsigned long)net->layers);
    for (k = 0; k < o->iterations; k++) {
        double began = now(), right = -1;
        badm_result code = badm_pdadmm_step(s, &r);
        spent += now() - began;
        if (code == BADM_ERR_CANCELLED) return 1;
        if (code != BADM_OK) return complain(badm_pdadmm_error(s));
        if ((k + 1) % every == 0 || k + 1 == o->iterations) {
            right = accuracy(m, net, test, o->workers);
            if (right < 0) return 0;
            printf("%9lu %13.5f %11.5f %9.2e %9.2e %8.4f %9.2f\n", (unsigned long)(done + k + 1), (double)r.lagrangian, (double)r.loss,
                   (double)r.primal, (double)r.change, right, spent);
            fflush(stdout);
        }
        fprintf(csv, "%lu,%lu,%.9g,%.9g,%.9g,%.9g,%.6g,%.4f\n", (unsigned long)(done + k + 1), (unsigned long)net->layers,
                (double)r.lagrangian, (double)r.loss, (double)r.primal, (double)r.change, right, spent);
    }
    return 1;
}

static int grow(badm_pdadmm *s, badm_model *m, network *net, const options *o)
{
    badm_linear last = net->layer[net->layers - 1], *added = &net->layer[net->layers - 1];
    char name[16];
    uint32_t i;
    for (i = 0; i < o->grow; i++) {
        snprintf(name, sizeof name, "more%lu", (unsigned long)i + 1);
        added[i] = badm_linear_new(m, name, (badm_dim)o->width, (badm_dim)o->width);
    }
    if (badm_model_result(m) != BADM_OK) return complain(badm_model_error(m));
    if (badm_pdadmm_grow(s, added, o->grow) != BADM_OK) return complain(badm_pdadmm_error(s));
    added[o->grow] = last;
    net->layers += o->grow;
    return 1;
}

static int learn(badm_model *m, const options *o, const samples *train, const samples *test)
{
    badm_pdadmm_desc d;
    badm_pdadmm *s;
    badm_error e;
    network net;
    output_file csv;
    char name[16], why[EXAMPLE_SENTENCE];
    uint32_t l;
    int fine;
    memset(&net, 0, sizeof net);
    net.layers = o->layers;
    for (l = 0; l < o->layers; l++) {
        snprintf(name, sizeof name, "fc%lu", (unsigned long)l + 1);
        net.layer[l] = badm_linear_new(m, name, (badm_dim)(l > 0 ? o->width : (uint32_t)INPUTS),
                                       (badm_dim)(l + 1 < o->layers ? o->width : (uint32_t)CLASSES));
    }
    if (badm_model_result(m) != BADM_OK) return complain(badm_model_error(m));
    badm_pdadmm_defaults(&d);
    d.model = m; d.layer = net.layer; d.layers = o->layers;
    d.x = train->x; d.label = train->label; d.samples = train->n;
    d.nu = o->nu; d.rho = o->rho; d.workers = o->workers; d.cancel = &cancelled;
    if (badm_pdadmm_new(&s, &d, &e) != BADM_OK) { badm_error_text(&e, why, sizeof why); return complain(why); }
    printf("width %lu, nu %g, rho %g, %lu workers, %.0f MB\n", (unsigned long)o->width, (double)o->nu, (double)o->rho,
           (unsigned long)o->workers, (double)badm_pdadmm_memory(s) / 1e6);
    fine = open_output(&csv, o->out, "pdadmm.csv");
    if (fine) {
        fprintf(csv.f, "iteration,layers,lagrangian,loss,primal,change,right,seconds\n");
        fine = iterate(s, m, &net, o, test, 0, csv.f);
        if (fine && o->grow && !cancelled) fine = grow(s, m, &net, o) && iterate(s, m, &net, o, test, o->iterations, csv.f);
        fine = close_output(&csv) && fine;
    }
    if (fine) {
        double right = accuracy(m, &net, test, o->workers);
        fine = right >= 0 && save_model(m, o->out, "pdadmm.safetensors");
        if (fine) printf("\nsaved %s/pdadmm.safetensors\nRESULT pdadmm_accuracy %.4f\n", o->out, right);
    }
    badm_pdadmm_free(s);
    return fine;
}

int main(int argc, char **argv)
{
    options o;
    dataset data;
    samples train, test;
    badm_model *m;
    int fine = 0;
    if (!read_options(&o, argc, argv)) return 2;
    if (o.help) { fputs(usage, stdout); return 0; }
    signal(SIGINT, on_interrupt);
    if (!can_write_to(o.out)) return 1;
    memset(&train, 0, sizeof train);
    memset(&test, 0, sizeof test);
    m = badm_model_new(o.seed);
    if (m && get_images(&data, o.data, o.images, o.held_out, 1)) {
        printf("%s: %lu images, %lu to test\n", data.title, (unsigned long)data.train.n, (unsigned long)data.test.n);
        fine = halve(&train, &data.train) && halve(&test, &data.test);
        if (fine) {
            centre(&train, &test);
            fine = learn(m, &o, &train, &test);
        }
    }
    free_samples(&train);
    free_samples(&test);
    if (m) free_images(&data);
    badm_model_free(m);
    return cancelled ? 130 : fine ? 0 : 1;
}

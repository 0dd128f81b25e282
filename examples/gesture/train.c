/* Learns five gestures from recordings of a wand, and writes what a microcontroller needs to go on learning: the weights, and the
   recordings that were held out, as C arrays.

       cc -O2 -I. examples/gesture/train.c -o build/gesture_train -lpthread && build/gesture_train DATA build [DEGREES]

   DATA: the folder with sensor/magic_wand.tar.gz (or that, unpacked; nanguoyu/Magic_Wand_Data, MIT). Needs tar for the archive.
   Writes OUT/gesture_weights.h and OUT/gesture_recordings.h; device.h says what a device does with them. */
#define PROGRAM "gesture_train"
#define BADM_IMPLEMENTATION
#include "../example_program.h"
#include "gesture.h"

enum { MOST = 200, EPOCHS = 150, BATCH = 20 };

typedef struct recordings { int16_t number[MOST][GESTURE_NUMBERS]; uint8_t label[MOST]; uint32_t n; } recordings;
static recordings training, held_out;

static const char *const files[GESTURE_CLASSES] = { "AlohomoraCharm", "ArrestoMomentumCharm", "AvadaKedavra", "LocomotorCharm", "Revelio" };

/* A table of one class: unpacked, or out of the archive. 0: a sentence has been printed. */
static int read_table(const char *data, const char *part, const char *name, badm_array *out)
{
    static const char *const below[2] = { "", "/sensor" };
    char path[EXAMPLE_PATH], why[EXAMPLE_SENTENCE];
    badm_error e;
    int i;
    for (i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s/magic_wand/%s/%s.csv", data, below[i], part, name);
        if (!example_readable(path)) continue;
        if (badm_csv_load(out, path, NULL, &e) == BADM_OK) return 1;
        badm_error_text(&e, why, sizeof why);
        return complain(why);
    }
    snprintf(path, sizeof path, "%s/sensor/magic_wand.tar.gz", data);
#ifndef _WIN32
    if (example_readable(path)) {
        char quoted[2 * EXAMPLE_PATH], command[3 * EXAMPLE_PATH];
        badm_reader reader;
        badm_result r;
        if (!example_quote(quoted, sizeof quoted, path)) return complain("the path is too long");
        snprintf(command, sizeof command, "tar -xzOf %s magic_wand/%s/%s.csv", quoted, part, name);
        reader.read = example_read;
        reader.user = popen(command, "r");
        if (!reader.user) return complain("tar cannot be run");
        r = badm_csv_load_from(out, &reader, NULL, &e);
        if (pclose((FILE *)reader.user) && r == BADM_OK) { badm_array_free(out); return complain("tar could not read the archive"); }
        if (r == BADM_OK) return 1;
        badm_error_text(&e, why, sizeof why);
        return complain(why);
    }
#endif
    snprintf(why, sizeof why, "there is no %s, nor a folder magic_wand, unpacked, in %.300s", path, data);
    return complain(why);
}

static int16_t as_int16(float x)
{
    float rounded = x < 0 ? x - 0.5f : x + 0.5f;
    return (int16_t)(rounded > 32767 ? 32767 : rounded < -32768 ? -32768 : rounded);
}

static int read_part(const char *data, const char *part, recordings *out)
{
    uint32_t kind, i, moment, channel;
    for (kind = 0; kind < GESTURE_CLASSES; kind++) {
        badm_array table;
        const float *row;
        if (!read_table(data, part, files[kind], &table)) return 0;
        row = (const float *)table.data;
        if (table.rank != 2 || table.shape[1] != GESTURE_CHANNELS || table.shape[0] % GESTURE_MOMENTS
            || out->n + table.shape[0] / GESTURE_MOMENTS > MOST) {
            badm_array_free(&table);
            return complain("a table is not recordings of 119 rows of 6 numbers");
        }
        for (i = 0; i < table.shape[0] / GESTURE_MOMENTS; i++, out->n++) {
            out->label[out->n] = (uint8_t)kind;
            for (moment = 0; moment < GESTURE_MOMENTS; moment++, row += GESTURE_CHANNELS)
                for (channel = 0; channel < GESTURE_CHANNELS; channel++)
                    out->number[out->n][channel * GESTURE_MOMENTS + moment] = as_int16(row[channel] * (channel < 3 ? 8192.0f : 64.0f));
        }
        badm_array_free(&table);
    }
    return 1;
}

/* As if the wand were held turned about one of its axes: y and z of acceleration and rotation. */
static void turn(recordings *of, float degrees)
{
    float angle = degrees * 3.14159265f / 180, cosine = badm_cosf(angle), sine = badm_cosf(angle - 1.57079633f);
    uint32_t i, sensor, j;
    for (i = 0; i < of->n; i++)
        for (sensor = 0; sensor < 2; sensor++) {
            int16_t *y = of->number[i] + (3 * sensor + 1) * GESTURE_MOMENTS, *z = y + GESTURE_MOMENTS;
            for (j = 0; j < GESTURE_MOMENTS; j++) {
                float a = y[j], b = z[j];
                y[j] = as_int16(cosine * a - sine * b);
                z[j] = as_int16(sine * a + cosine * b);
            }
        }
}

/* In an order of their own, so that any part of them has all gestures. */
static int write_recordings(const recordings *of, const char *folder)
{
    output_file out;
    uint32_t i, j;
    if (!open_output(&out, folder, "gesture_recordings.h")) return 0;
    fprintf(out.f, "/* Recordings that were not trained on. Written by gesture_train. */\nenum { GESTURE_HELD_OUT = %lu };\n", (unsigned long)of->n);
    fprintf(out.f, "static const uint8_t gesture_labels[GESTURE_HELD_OUT] = {");
    for (i = 0; i < of->n; i++) fprintf(out.f, " %u,", (unsigned)of->label[badm_shuffle(1, 0, of->n, i)]);
    fprintf(out.f, " };\nstatic const int16_t gesture_recordings[GESTURE_HELD_OUT][%d] = {\n", (int)GESTURE_NUMBERS);
    for (i = 0; i < of->n; i++) {
        const int16_t *number = of->number[badm_shuffle(1, 0, of->n, i)];
        for (j = 0; j < GESTURE_NUMBERS; j++) fprintf(out.f, "%s%d,%s", j ? "" : "{", (int)number[j], j % 24 == 23 ? "\n" : "");
        fprintf(out.f, "},\n");
    }
    fprintf(out.f, "};\n");
    return close_output(&out);
}

static int learn(badm_model *m, gesture_net *net, const char *folder)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    gesture_net unseen = *net;
    char path[EXAMPLE_PATH];
    uint32_t epoch;
    badm_result r = BADM_OK;
    unseen.recording = held_out.number[0];
    unseen.label = held_out.label;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = gesture_loss; d.user = net; d.max_batch = BATCH; d.sub_batches = 2; d.cancel = &cancelled;
    d.metric = BADM_DIAGONAL;
    d.sigma = 300;                      /* step 1/300, momentum 0.9 */
    d.rho = 2700;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return complain(badm_model_error(m));
    for (epoch = 1; epoch <= EPOCHS && !r; epoch++) {
        r = badm_epoch(tr, training.n, BATCH, NULL, NULL);
        if (!r && epoch % 30 == 0) {
            badm_score seen;
            r = badm_evaluate(tr, NULL, NULL, training.n, &seen);
            if (!r) r = badm_evaluate(tr, NULL, &unseen, held_out.n, &score);
            if (!r) printf("epoch %3lu  trained on: %.3f right  held out: %.3f right\n", (unsigned long)epoch, (double)seen.accuracy,
                           (double)score.accuracy);
        }
    }
    if (r) complain(badm_trainer_error(tr));
    badm_trainer_free(tr);
    if (r) return 0;
    snprintf(path, sizeof path, "%s/gesture_weights.h", folder);
    if (badm_save_c(m, "gesture", path) != BADM_OK) return complain(badm_model_error(m));
    printf("%lu weights in %s\n", (unsigned long)badm_model_size(m), path);
    if (!write_recordings(&held_out, folder)) return 0;
    printf("%lu recordings in %s/gesture_recordings.h\n", (unsigned long)held_out.n, folder);
    return 1;
}

int main(int argc, char **argv)
{
    badm_model *m;
    gesture_net net;
    int fine;
    float degrees = 0;
    if (argc < 3 || argc > 4 || argv[1][0] == '-' || (argc == 4 && !read_number(argv[3], 0, &degrees))) {
        fprintf(stderr, "usage: gesture_train DATA OUT [DEGREES]\n  DATA: the folder with sensor/magic_wand.tar.gz\n"
                "  OUT: where to write gesture_weights.h and gesture_recordings.h\n"
                "  DEGREES: the recordings that are held out are turned by so much, as if somebody held the wand otherwise\n");
        return 2;
    }
    signal(SIGINT, on_interrupt);
    if (!read_part(argv[1], "train", &training) || !read_part(argv[1], "test", &held_out)) return 1;
    turn(&held_out, degrees);
    printf("%lu recordings to train on, %lu held out\n", (unsigned long)training.n, (unsigned long)held_out.n);
    m = badm_model_new(1);
    net = gesture_new(m);
    net.recording = training.number[0];
    net.label = training.label;
    fine = learn(m, &net, argv[2]);
    badm_model_free(m);
    return fine ? 0 : 1;
}

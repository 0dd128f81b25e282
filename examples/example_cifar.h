/* For the examples: CIFAR-10's binary files, records of one byte of label and 3 x 32 x 32 bytes of colour (first all red, then all
   green, then all blue). A file may have any number of records, plain or gzipped. */
#ifndef EXAMPLE_CIFAR_H
#define EXAMPLE_CIFAR_H

#include "example_data.h"           /* first: it asks for POSIX */

#include <stdlib.h>

enum { CIFAR_PIXELS = 3 * 32 * 32, CIFAR_CLASSES = 10 };

/* Images and labels, grown file by file; begin with all 0. */
typedef struct example_cifar { uint8_t *pixels, *labels; uint32_t n, room; } example_cifar;

static inline void example_cifar_free(example_cifar *c)
{
    free(c->pixels);
    free(c->labels);
    memset(c, 0, sizeof *c);
}

/* 0: no memory; what there was is still there. */
static inline int example_cifar_grow(example_cifar *c)
{
    uint32_t room = c->room ? 2 * c->room : 10000;
    uint8_t *pixels, *labels;
    if (room < c->room || (size_t)room * CIFAR_PIXELS / CIFAR_PIXELS != room) return 0;
    pixels = (uint8_t *)realloc(c->pixels, (size_t)room * CIFAR_PIXELS);
    if (pixels) c->pixels = pixels;
    labels = pixels ? (uint8_t *)realloc(c->labels, room) : NULL;
    if (labels) c->labels = labels;
    if (!labels) return 0;
    c->room = room;
    return 1;
}

/* The records of one open file, after those that c has. Not BADM_OK: `error` says why. */
static inline badm_result example_cifar_read(example_cifar *c, badm_reader *r, badm_error *error)
{
    uint32_t before = c->n;
    memset(error, 0, sizeof *error);
    error->operation = "cifar";
    for (;;) {
        uint8_t label;
        size_t bytes;
        if (r->read(&label, 1, r->user) != 1) break;
        error->number[0] = c->n - before;
        if (c->n == c->room && !example_cifar_grow(c)) {
            error->message = "there is not enough memory for the images";
            return error->code = BADM_ERR_MEMORY;
        }
        if (label >= CIFAR_CLASSES) {
            error->message = "the label of record %0 is %1, not 0..9";
            error->number[1] = label;
            return error->code = BADM_ERR_LABEL;
        }
        bytes = r->read(c->pixels + (size_t)c->n * CIFAR_PIXELS, CIFAR_PIXELS, r->user);
        if (bytes != CIFAR_PIXELS) {
            error->message = "record %0 has only %1 of 3073 bytes: the file is cut short or of another kind";
            error->number[1] = (unsigned long)bytes + 1;
            return error->code = BADM_ERR_FORMAT;
        }
        c->labels[c->n++] = label;
    }
    if (c->n > before) return BADM_OK;
    error->message = "the file is empty";
    return error->code = BADM_ERR_FORMAT;
}

/* Adds dir/name or dir/cifar-10-batches-bin/name (as the archive unpacks), or either with .gz. 0: `why` says what is wrong. */
static inline int example_load_cifar(example_cifar *c, const char *dir, const char *name, char *why)
{
    char in_folder[128];
    const char *names[3];
    example_file f;
    badm_error error;
    badm_result loaded;
    snprintf(in_folder, sizeof in_folder, "cifar-10-batches-bin/%s", name);
    names[0] = name; names[1] = in_folder; names[2] = NULL;
    if (!example_open(&f, dir, names, why)) return 0;
    loaded = example_cifar_read(c, &f.reader, &error);
    return example_close(&f, loaded, &error, why);
}

#endif

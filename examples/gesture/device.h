/* The device's part: learning goes on there. The weights lie in flash; the last layer alone is copied to memory and trained on
   recordings of the device's own user. No malloc, no files, no threads; all that is needed is in one block of memory.

   Include gesture_weights.h and gesture_recordings.h (train.c writes them), define GESTURE_PRINT(text), and call gesture_on_device().
   main.c does so for a board with semihosting or a terminal, gesture.ino for Arduino. */
#ifndef GESTURE_DEVICE_H
#define GESTURE_DEVICE_H

#include "gesture.h"

#ifndef GESTURE_BLOCK
#define GESTURE_BLOCK (sizeof(void *) > 4 ? 96 * 1024 : 24 * 1024)         /* desktops pack matrices for wide vectors */
#endif
enum { GESTURE_EPOCHS = 30, GESTURE_BATCH = 4 };

static union { unsigned char bytes[GESTURE_BLOCK]; double aligned; } gesture_block;

static inline void gesture_print_number(unsigned long n)
{
    char digits[12];
    int i = 11;
    digits[i] = 0;
    do { digits[--i] = (char)('0' + n % 10); n /= 10; } while (n > 0);
    GESTURE_PRINT(digits + i);
}

/* Recordings of a gesture_net from `first` on. */
static inline gesture_net gesture_from(const gesture_net *net, uint32_t first)
{
    gesture_net part = *net;
    part.recording = gesture_recordings[first];
    part.label = gesture_labels + first;
    return part;
}

static inline uint32_t gesture_right(badm_trainer *tr, gesture_net *net, uint32_t n, badm_result *r)
{
    badm_score score;
    if (!*r) *r = badm_evaluate(tr, NULL, net, n, &score);
    return *r ? 0 : (uint32_t)(score.accuracy * (float)n + 0.5f);
}

/* Begins with the weights in flash, trains on n recordings from `first` on, and counts right answers on `unseen` others, before and
   after. Returns the bytes of the block in use; 0: it failed. */
static inline size_t gesture_fine_tune(uint32_t first, uint32_t n, uint32_t unseen_first, uint32_t unseen, uint32_t *before, uint32_t *after)
{
    badm_memory memory;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    gesture_net net, here, there;
    badm_result r;
    size_t used;
    int epoch;
    badm_memory_block(&memory, gesture_block.bytes, sizeof gesture_block.bytes);
    m = badm_model_new_in(&memory, 1);
    if (!m) return 0;
    badm_model_map(m, gesture_weights, sizeof gesture_weights / sizeof gesture_weights[0]);        /* in flash, frozen */
    net = gesture_new(m);
    badm_set_frozen(m, "last.", 0);                                                                /* copied to memory */
    here = gesture_from(&net, first);
    there = gesture_from(&net, unseen_first);
    badm_trainer_defaults(&d);
    d.model = m; d.memory = &memory; d.loss = gesture_loss; d.user = &here; d.max_batch = GESTURE_BATCH; d.sub_batches = 1; d.micro_batch = 1;
    d.sigma = 30;                       /* step 1/30, momentum 0.9 */
    d.rho = 270;
    r = badm_trainer_new(&tr, &d);
    used = sizeof gesture_block.bytes - badm_memory_left(&memory);
    *before += gesture_right(tr, &there, unseen, &r);
    for (epoch = 0; epoch < GESTURE_EPOCHS && !r; epoch++) r = badm_epoch(tr, n, GESTURE_BATCH, NULL, NULL);
    *after += gesture_right(tr, &there, unseen, &r);
    badm_trainer_free(tr);
    badm_model_free(m);
    return r ? 0 : used;
}

/* Each half of the held-out recordings is what the other half's fine-tuning is judged by. 0: fine. */
static inline int gesture_on_device(void)
{
    uint32_t half = GESTURE_HELD_OUT / 2, rest = GESTURE_HELD_OUT - half, before = 0, after = 0;
    size_t used = gesture_fine_tune(0, half, half, rest, &before, &after);
    if (used) used = gesture_fine_tune(half, rest, 0, half, &before, &after);
    if (!used) { GESTURE_PRINT("gesture: it failed\n"); return 1; }
    GESTURE_PRINT("right of ");
    gesture_print_number(GESTURE_HELD_OUT);
    GESTURE_PRINT(" recordings: ");
    gesture_print_number(before);
    GESTURE_PRINT(" before, ");
    gesture_print_number(after);
    GESTURE_PRINT(" after fine-tuning on the other half\nmemory used: ");
    gesture_print_number((unsigned long)used);
    GESTURE_PRINT(" bytes of a block of ");
    gesture_print_number((unsigned long)sizeof gesture_block.bytes);
    GESTURE_PRINT("\n");
    return 0;
}

#endif

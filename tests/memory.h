/* A badm_memory that counts and can be told to fail at the k-th call. Include after badm.h. */
#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include <stdlib.h>

typedef struct { long calls, live, fail_at; size_t bytes, peak; } test_heap;       /* fail_at: 1 is the first call; 0 never */

static void *test_heap_alloc(size_t bytes, void *user)
{
    test_heap *h = (test_heap *)user;
    size_t *p;
    h->calls++;
    if (h->fail_at && h->calls == h->fail_at) return NULL;
    p = (size_t *)malloc(bytes + 64);
    if (!p) return NULL;
    *p = bytes;
    h->live++;
    h->bytes += bytes;
    if (h->bytes > h->peak) h->peak = h->bytes;
    return (char *)p + 64;
}

static void test_heap_free(void *p, void *user)
{
    test_heap *h = (test_heap *)user;
    if (!p) return;
    h->live--;
    h->bytes -= *(size_t *)((char *)p - 64);
    free((char *)p - 64);
}

static badm_memory test_heap_memory(test_heap *h)
{
    badm_memory m;
    memset(&m, 0, sizeof m);
    memset(h, 0, sizeof *h);
    m.alloc = test_heap_alloc; m.free = test_heap_free; m.user = h;
    return m;
}

#endif

/* A file in memory, for the library's readers and writers. Include after badm.h. */
#ifndef TEST_BUFFER_H
#define TEST_BUFFER_H

#include <string.h>

/* room: a full disk is reached here; 0: never */
typedef struct buffer { unsigned char bytes[200000]; size_t size, at, room; } buffer;

static inline size_t buffer_write(const void *data, size_t n, void *user)
{
    buffer *b = (buffer *)user;
    size_t room = (b->room ? b->room : sizeof b->bytes) - b->size;
    if (n > room) n = room;
    memcpy(b->bytes + b->size, data, n);
    b->size += n;
    return n;
}

static inline size_t buffer_read(void *data, size_t n, void *user)
{
    buffer *b = (buffer *)user;
    if (n > b->size - b->at) n = b->size - b->at;
    memcpy(data, b->bytes + b->at, n);
    b->at += n;
    return n;
}

/* Emptied, to be written from the start. */
static inline badm_writer buffer_writer(buffer *b)
{
    badm_writer w;
    b->size = b->at = b->room = 0;
    w.write = buffer_write;
    w.user = b;
    return w;
}

/* Read from its start. */
static inline badm_reader buffer_reader(buffer *b)
{
    badm_reader r;
    b->at = 0;
    r.read = buffer_read;
    r.user = b;
    return r;
}

#endif

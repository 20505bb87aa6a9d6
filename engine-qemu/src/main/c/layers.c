/*
 * Preloaded into a machine monitor that runs a clone: makes the guest's memory out of layers.
 *
 * A clone's memory is a base image with layers over it, each the pages that some ancestor had written when it was
 * forked. All of them are files that nobody writes to. The host sends the list of pieces through a socket, and
 * each piece is mapped privately over the monitor's own, still untouched memory: mmap(2) with MAP_FIXED replaces
 * what was mapped there, in one step for each piece, and a page is copied when it is first written to.
 *
 * The same is done to a parent that has just been captured: what it had written is in a layer now, so mapping the
 * layer over it changes nothing that the guest could see, and gives the memory back.
 *
 * Before that, the parent writes most of what it had written into the layer by itself: from its own memory that is
 * one copy, where the host needs two, and the guest stands still meanwhile.
 *
 * Descriptor 6 is a listening Unix socket that only the host can reach. A connection carries any number of
 * requests, in the byte order of the machine, each answered by an errno as u32, 0 for success; two connections are
 * served at once:
 *
 *     u64 base address, u32 number of pieces, u32 0, then for each piece
 *     u64 offset in the guest's memory, u64 length, u64 offset in the layer, u32 number of the layer, u32 0
 *
 * Layer n is the file /layers/memory.n; ZERO stands for memory without content. A piece of the layer NEW is not
 * mapped: what is in memory there is written to the file /work/layer. The monitor must not run the guest meanwhile;
 * the host sees to that.
 */
#define _GNU_SOURCE
#include "fork/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 6, MOST_PIECES = 60000, BATCH = 256, MOST_OPEN = 64, SERVED_AT_ONCE = 2 };

static const uint32_t ZERO = UINT32_MAX, NEW = UINT32_MAX - 1;

struct request {
    uint64_t base;
    uint32_t pieces;
    uint32_t reserved;
};

struct piece {
    uint64_t offset;
    uint64_t length;
    uint64_t offset_in_layer;
    uint32_t layer;
    uint32_t reserved;
};

/* The layers that were opened for this request. Pieces of a few layers take turns, hundreds of times. */
struct opened {
    uint32_t layer[MOST_OPEN];
    int fd[MOST_OPEN];
    int count;
};

static int receive(int connection, void *into, size_t length)
{
    for (char *at = into; length > 0;) {
        ssize_t got = recv(connection, at, length, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -1;
        }
        at += got;
        length -= (size_t)got;
    }
    return 0;
}

static void close_layers(struct opened *opened)
{
    while (opened->count > 0) {
        close(opened->fd[--opened->count]);
    }
}

static int open_layer(struct opened *opened, uint32_t layer)
{
    for (int i = 0; i < opened->count; i++) {
        if (opened->layer[i] == layer) {
            return opened->fd[i];
        }
    }
    if (opened->count == MOST_OPEN) {
        close_layers(opened);
    }
    char path[64] = "/work/layer";
    if (layer != NEW) {
        snprintf(path, sizeof path, "/layers/memory.%u", layer);
    }
    int fd = open(path, (layer == NEW ? O_WRONLY : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        opened->layer[opened->count] = layer;
        opened->fd[opened->count++] = fd;
    }
    return fd;
}

static int map(const struct piece *piece, uint64_t base, struct opened *opened)
{
    void *address = (void *)(uintptr_t)(base + piece->offset);
    int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    int fd = -1;
    if (piece->layer == ZERO) {
        flags |= MAP_ANONYMOUS;
    } else {
        fd = open_layer(opened, piece->layer);
        if (fd < 0) {
            return errno;
        }
    }
    void *mapped =
        mmap(address, piece->length, PROT_READ | PROT_WRITE, flags, fd, (off_t)piece->offset_in_layer);
    if (mapped == MAP_FAILED) {
        return errno;
    }
    /* A guest that writes one byte shall not get 2 MiB, which every fork would copy. A kernel may have no such pages. */
    if (piece->layer == ZERO && madvise(mapped, piece->length, MADV_NOHUGEPAGE) < 0 && errno != EINVAL) {
        return errno;
    }
    return 0;
}

static int write_out(const struct piece *piece, uint64_t base, struct opened *opened)
{
    int fd = open_layer(opened, NEW);
    if (fd < 0) {
        return errno;
    }
    const char *from = (const char *)(uintptr_t)(base + piece->offset);
    for (uint64_t done = 0; done < piece->length;) {
        ssize_t wrote = pwrite(fd, from + done, piece->length - done, (off_t)(piece->offset_in_layer + done));
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return wrote < 0 ? errno : EIO;
        }
        done += (uint64_t)wrote;
    }
    return 0;
}

/* Takes the whole request also after a piece that failed, so that the next one begins where it should. */
static int answer(int connection)
{
    struct request request;
    if (receive(connection, &request, sizeof request) < 0) {
        return -1;
    }
    uint32_t failure = request.pieces > MOST_PIECES ? E2BIG : 0;
    struct opened opened = {.count = 0};
    struct piece batch[BATCH];
    for (uint32_t left = request.pieces; left > 0;) {
        uint32_t count = left < BATCH ? left : BATCH;
        if (receive(connection, batch, count * sizeof batch[0]) < 0) {
            failure = EPIPE;
            break;
        }
        for (uint32_t i = 0; i < count && failure == 0; i++) {
            failure = (uint32_t)(batch[i].layer == NEW ? write_out : map)(&batch[i], request.base, &opened);
        }
        left -= count;
    }
    close_layers(&opened);
    return send(connection, &failure, sizeof failure, MSG_NOSIGNAL) == sizeof failure ? 0 : -1;
}

static void *serve(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "layers");
    while (1) {
        int connection = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return NULL;
        }
        while (answer(connection) == 0) {
        }
        close(connection);
    }
}

/* Before the monitor's main(). */
__attribute__((constructor)) static void start(void)
{
    filter_before_main();
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    /* The monitor's signals are for its own threads. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    int failure = 0;
    for (int i = 0; i < SERVED_AT_ONCE && failure == 0; i++) {
        failure = pthread_create(&thread, &attributes, serve, NULL);
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        fprintf(stderr, "podflare-layers: no thread: %s\n", strerror(failure));
        exit(1);
    }
}

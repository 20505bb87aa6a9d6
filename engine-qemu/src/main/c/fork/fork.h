/*
 * podflare-fork.so: preloaded into a machine monitor, so that the host can fork it, threads and all.
 *
 *   control.c      the host's requests, and the child before it has threads
 *   threads.c      stops all threads, forks, makes the child's threads again
 *   descriptors.c  what a child may not share with its parent, and the files that the host hands over
 *   memory.c       the guest's memory, mapped from layers
 *   kvm.c          a virtual machine in the kernel belongs to one process, so a child builds it again
 *   filter.c       the system calls that a monitor may make
 *
 * A fork: the control thread stops all threads where they wait (threads.c); the main thread, in its signal handler,
 * clones the process. The parent goes on. The child has one thread, in the same handler: it takes its own descriptors
 * in place of the inherited ones, tells the host who it is, and waits for GO, or for the order to make a sibling. With
 * GO it takes a user of its own if it shall, and the other threads are made again.
 *
 * Until then the child must not allocate memory or take a lock: a thread that does not exist may hold it.
 */
#ifndef PODFLARE_FORK_H
#define PODFLARE_FORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A function that stands in for the C library's. All others are the object's own. */
#define INTERPOSED __attribute__((visibility("default")))

/* Descriptors that the jail places: see Jail.java. */
enum { TAP = 3, CONTROL_PROTOCOL_LISTENER = 4, AGENT_LISTENER = 5, FORK_LISTENER = 6 };

/* RLIMIT_NOFILE of a monitor: jail.c. */
enum { MOST_DESCRIPTORS = 256 };

/* What the host hands over for a child, in the order of the message. */
struct descriptors {
    int fork_connection;
    int fork_listener;
    int protocol_connection;
    int protocol_listener;
    int agent_connection;
    int agent_listener;
    int tap;
    int log;
    /* The parent's disk, and the child's in place of it: to read and write, and to read only. */
    int disk;
    int own_disk;
    int own_disk_read_only;
};

enum { PASSED = sizeof(struct descriptors) / sizeof(int) };

/* How a fork went, in the parent. */
struct forked {
    int error;         /* errno; EBUSY if the threads do not come to rest */
    uint32_t attempts; /* to find all threads at rest */
    int64_t parking;   /* nanoseconds until they were */
    int64_t cloning;   /* nanoseconds of the clone itself, and of what is saved before it */
};

/* threads.c */
void threads_start(void);
void threads_register_control(void);
bool threads_fork(const struct descriptors *for_child, struct forked *forked);
pid_t clone_process(void);

/* control.c */
void control_start(void);
void child_before_threads(const struct descriptors *own);

/* descriptors.c */
int descriptors_adopt(const struct descriptors *own, int fork_connection);
void descriptors_close(const struct descriptors *passed);
int descriptors_offer(uint32_t name, int read_only, int writable);
void descriptors_withdraw(uint32_t name);
int descriptors_offered(uint32_t name); /* to read; -1 if there is none */
bool descriptors_has_agent(void);

/* memory.c */
struct piece {
    uint64_t offset;
    uint64_t length;
    uint64_t offset_in_layer;
    uint32_t layer; /* an offered name; UINT32_MAX for memory without content */
    uint32_t reserved;
};
int memory_map(uint64_t base, const struct piece *pieces, uint32_t count);

/* kvm.c */
int kvm_save(void);
int kvm_restore(void);
void kvm_note(int fd, unsigned long request, unsigned long argument, long result);
void kvm_note_mapping(int fd, void *address, size_t length);

#endif

/* The system calls that a machine's monitor may make: filter.c has the list. */
#ifndef PODFLARE_FILTER_H
#define PODFLARE_FILTER_H

#include <stdint.h>

/* For the monitor, whose functions of these names they replace, and for the tests. */
#define EXPORTED __attribute__((visibility("default")))

/*
 * To be called from the object's constructor, before the monitor's main() and before any thread. From here on a
 * call that is not on the list ends the process, and names itself on standard error. The process is not dumpable.
 *
 * The variable PODFLARE_USERS=FIRST:COUNT, which the jail sets for a monitor that keeps the right to change its
 * user, limits that right to these users; without it the right is given up here.
 */
void filter_before_main(void);

/* From here on the ids of user and group change only by setresuid and setresgid with three equal ones of the range.
 * Returns 0, or -1 and errno. */
EXPORTED int filter_users(uint32_t first, uint32_t count);

/* From here on they do not change at all, nor do groups and capabilities. For a process with one thread; allocates
 * nothing, so that it can be called in a child that was just made. Returns 0, or -1 and errno. */
EXPORTED int filter_no_users(void);

#endif

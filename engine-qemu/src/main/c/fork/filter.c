/*
 * The system calls that a machine's monitor may make, as a seccomp filter of our own.
 *
 * QEMU's own filter (-sandbox) lists what is forbidden, can't tell a thread from a process, and leaves open all by
 * which the processes of one user reach each other. Here is listed what is allowed: what a monitor needs to serve a
 * machine that is set up, and nothing else. A call outside of the list ends the machine and names itself in its log.
 *
 * The rules of one call stand together; the first whose conditions hold decides, and if there is none the call is
 * forbidden. Conditions look at the low 32 bits of an argument, which is all that the kernel itself looks at where
 * it takes an int, a number of an operation, or clone(2)'s flags; where it takes a pointer a rule says so.
 */
#define _GNU_SOURCE
#include "filter.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__x86_64__) || defined(__ILP32__)
#error "the list is written for x86-64"
#endif

enum {
    X32 = 0x40000000,          /* numbers from here on are another way into the same kernel */
    MOST_INSTRUCTIONS = 600,   /* the kernel takes 4096 */
    FURTHEST_JUMP = UINT8_MAX, /* what a condition can skip */
    ENDED_BY_FILTER = 128 + SIGSYS,
};

/* glibc's pthread_create, which the threads that are made again after a fork imitate. */
#define THREAD_FLAGS                                                                                                   \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS                   \
     | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* A forked machine: a child of its parent's parent, with nothing shared. */
#define FORK_FLAGS (CLONE_PARENT | SIGCHLD)

/* ---- what is allowed ---- */

struct condition {
    enum { NONE, LOW, NULL_POINTER } kind;
    uint8_t argument;
    uint32_t mask;
    uint32_t value;
};

struct rule {
    uint32_t call;
    uint32_t action;
    struct condition when[2];
};

#define EQUALS(argument, value) {LOW, argument, UINT32_MAX, value}
#define MASKED(argument, mask, value) {LOW, argument, mask, value}
#define IS_NULL(argument) {NULL_POINTER, argument, 0, 0}

#define ALLOW(call) {SYS_##call, SECCOMP_RET_ALLOW, {{NONE, 0, 0, 0}}}
#define ALLOW_WHEN(call, ...) {SYS_##call, SECCOMP_RET_ALLOW, {__VA_ARGS__}}
#define FAIL(call, error) {SYS_##call, SECCOMP_RET_ERRNO | (error), {{NONE, 0, 0, 0}}}
#define FAIL_WHEN(call, error, ...) {SYS_##call, SECCOMP_RET_ERRNO | (error), {__VA_ARGS__}}
#define KILL_WHEN(call, ...) {SYS_##call, SECCOMP_RET_KILL_PROCESS, {__VA_ARGS__}}

static const struct rule rules[] = {
    /* Devices. Not among them: what names an owner for signals, types into a terminal, or makes a tap. */
    ALLOW_WHEN(ioctl, MASKED(1, _IOC_TYPEMASK << _IOC_TYPESHIFT, KVMIO << _IOC_TYPESHIFT)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNGETIFF)), /* what a tap is, and what QEMU sets on it */
    ALLOW_WHEN(ioctl, EQUALS(1, TUNGETFEATURES)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNGETVNETHDRSZ)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETVNETHDRSZ)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETVNETLE)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETVNETBE)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETOFFLOAD)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETSNDBUF)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETQUEUE)),
    ALLOW_WHEN(ioctl, EQUALS(1, TUNSETSTEERINGEBPF)), /* newer QEMUs take a program off; to put one on takes bpf(2) */
    ALLOW_WHEN(ioctl, EQUALS(1, FIONBIO)),
    ALLOW_WHEN(ioctl, EQUALS(1, FIONREAD)),
    ALLOW_WHEN(ioctl, EQUALS(1, FICLONE)), /* a child's disk file, where the file system can share blocks */
    FAIL_WHEN(ioctl, ENOTTY, EQUALS(1, TCGETS)), /* isatty */
    FAIL_WHEN(ioctl, ENOTTY, EQUALS(1, BLKSSZGET)), /* whether a disk file is a device; none is */
    FAIL_WHEN(ioctl, ENOTTY, EQUALS(1, BLKPBSZGET)),
    FAIL_WHEN(ioctl, ENOTTY, EQUALS(1, BLKGETSIZE64)),
    FAIL_WHEN(ioctl, ENOTTY, EQUALS(1, FS_IOC_GETFLAGS)),

    /* Threads and forks. To clone3 the answer is that of an older kernel: its flags lie where no filter sees them. */
    ALLOW_WHEN(clone, EQUALS(0, THREAD_FLAGS)),
    ALLOW_WHEN(clone, EQUALS(0, FORK_FLAGS)),
    FAIL(clone3, ENOSYS),
    ALLOW(set_robust_list),
    ALLOW(rseq),
    ALLOW_WHEN(arch_prctl, EQUALS(0, ARCH_SET_FS)),
    ALLOW_WHEN(arch_prctl, EQUALS(0, ARCH_GET_FS)),
    ALLOW(gettid),
    ALLOW(getpid),
    ALLOW(getppid),
    ALLOW(sched_yield),
    ALLOW(sched_getaffinity), /* glibc counts the processors for malloc */
    ALLOW(getcpu),
    ALLOW(exit),
    ALLOW(exit_group),
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_NAME)), /* names of threads */
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_TIMERSLACK)),
    ALLOW_WHEN(prctl, EQUALS(0, PR_MCE_KILL)), /* a broken page is told to the thread that met it */
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_PDEATHSIG)),
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_NO_NEW_PRIVS)),
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_DUMPABLE), EQUALS(1, 0)),
    ALLOW_WHEN(prctl, EQUALS(0, PR_CAP_AMBIENT), EQUALS(1, PR_CAP_AMBIENT_CLEAR_ALL)),
    ALLOW_WHEN(prctl, EQUALS(0, PR_SET_VMA)), /* newer glibcs name their mappings */

    /* Who it is. What can be changed is limited further by filter_users and filter_no_users. */
    ALLOW(getuid),
    ALLOW(geteuid),
    ALLOW(getgid),
    ALLOW(getegid),
    ALLOW(setresuid),
    ALLOW(setresgid),
    ALLOW_WHEN(setgroups, EQUALS(0, 0)),
    ALLOW(capset),
    ALLOW_WHEN(seccomp, EQUALS(0, SECCOMP_SET_MODE_FILTER), EQUALS(1, 0)), /* a filter more only takes away */
    FAIL(seccomp, EINVAL), /* QEMU asks what its own filter, which is off, could do */

    /* Memory. Executable memory is what emulation lives of. */
    ALLOW(mmap),
    ALLOW(mprotect),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(madvise),
    ALLOW(msync),
    ALLOW(brk),
    FAIL(memfd_create, ENOSYS), /* QEMU tries whether it could */
    FAIL(mbind, ENOSYS), /* on which node memory lies: libnuma tries, and goes without */
    FAIL(get_mempolicy, ENOSYS),
    FAIL(set_mempolicy, ENOSYS),

    /* Waiting. io_uring would make calls that no filter sees. */
    ALLOW(futex),
    ALLOW(poll),
    ALLOW(ppoll),
    ALLOW(select),
    ALLOW(pselect6),
    ALLOW(epoll_create1),
    ALLOW(epoll_ctl),
    ALLOW(epoll_wait),
    ALLOW(epoll_pwait),
    ALLOW(epoll_pwait2),
    ALLOW(eventfd2),
    ALLOW(pipe2),
    ALLOW_WHEN(membarrier, EQUALS(0, MEMBARRIER_CMD_QUERY)),
    ALLOW_WHEN(membarrier, EQUALS(0, MEMBARRIER_CMD_GLOBAL)), /* QEMU's RCU */
    FAIL(io_uring_setup, ENOSYS),
    ALLOW(restart_syscall),

    /* Time: most is read without a call, unless the host's clock can't be. */
    ALLOW(clock_gettime),
    ALLOW(clock_getres),
    ALLOW(clock_nanosleep),
    ALLOW(nanosleep),
    ALLOW(gettimeofday),
    ALLOW(time),
    ALLOW(timer_create), /* threads are stopped by timers that signal one of them: only one's own can be named */
    ALLOW(timer_settime),
    ALLOW(timer_delete),

    /* Signals to oneself. There is no call that sends one. */
    KILL_WHEN(rt_sigaction, EQUALS(0, SIGSYS)),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigpending),
    ALLOW(rt_sigreturn),
    ALLOW(rt_sigsuspend),
    ALLOW(rt_sigtimedwait), /* KVM's processors take the signals that called them out */
    ALLOW(sigaltstack),
    ALLOW(signalfd4),

    /* Files and pipes, within what the jail shows. */
    ALLOW(read),
    ALLOW(pread64),
    ALLOW(readv),
    ALLOW(preadv),
    ALLOW(preadv2),
    ALLOW(write),
    ALLOW(pwrite64),
    ALLOW(writev),
    ALLOW(pwritev),
    ALLOW(pwritev2),
    ALLOW(lseek),
    ALLOW(openat),
    ALLOW(close),
    ALLOW(close_range),
    ALLOW(dup),
    ALLOW(dup2),
    ALLOW(dup3),
    ALLOW(access),
    ALLOW(faccessat),
    ALLOW(faccessat2),
    ALLOW(stat),
    ALLOW(fstat),
    ALLOW(lstat),
    ALLOW(newfstatat),
    ALLOW(statx),
    ALLOW(statfs),
    ALLOW(fstatfs),
    ALLOW(readlink),
    ALLOW(readlinkat),
    ALLOW(getcwd),
    ALLOW(umask),
    ALLOW(fsync),
    ALLOW(fdatasync),
    ALLOW(ftruncate),
    ALLOW(fallocate), /* blocks that the guest discards are given back */
    ALLOW(fadvise64),
    ALLOW(copy_file_range),
    /* Not among these: what lets a descriptor send signals (F_SETOWN, F_SETSIG, F_SETLEASE, F_NOTIFY). */
    ALLOW_WHEN(fcntl, EQUALS(1, F_GETFD)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_SETFD)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_GETFL)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_SETFL)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_DUPFD)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_DUPFD_CLOEXEC)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_OFD_GETLK)), /* QEMU's locks on its disks */
    ALLOW_WHEN(fcntl, EQUALS(1, F_OFD_SETLK)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_GETLK)),
    ALLOW_WHEN(fcntl, EQUALS(1, F_SETLK)),

    /* Sockets come as descriptors: none is made, bound or connected here. */
    ALLOW(listen), /* QEMU repeats it on those that listen */
    ALLOW(accept4),
    ALLOW(shutdown),
    ALLOW(recvfrom),
    ALLOW(recvmsg), /* with the descriptors that a monitor is handed */
    ALLOW(sendto),
    ALLOW(sendmsg),
    ALLOW(getsockname),
    ALLOW(getpeername),
    ALLOW(getsockopt),
    ALLOW(setsockopt),

    /* What the machine is. */
    ALLOW(uname),
    ALLOW(sysinfo),
    ALLOW(getrandom),
    ALLOW_WHEN(prlimit64, EQUALS(0, 0), IS_NULL(2)),
    ALLOW(getrusage),
};

/* ---- from rules to the kernel's program ---- */

struct program {
    struct sock_filter code[MOST_INSTRUCTIONS];
    unsigned length;
    bool too_long;
};

static struct sock_filter *emit(struct program *program, uint16_t code, uint32_t value)
{
    if (program->length == MOST_INSTRUCTIONS) {
        program->too_long = true;
        program->length--;
    }
    struct sock_filter *instruction = &program->code[program->length++];
    *instruction = (struct sock_filter)BPF_STMT(code, value);
    return instruction;
}

static void load(struct program *program, size_t offset)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static void load_low(struct program *program, unsigned argument)
{
    load(program, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

static void load_high(struct program *program, unsigned argument)
{
    load(program, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + sizeof(uint32_t));
}

static void answer(struct program *program, uint32_t action)
{
    emit(program, BPF_RET | BPF_K, action);
}

/* Goes on if what is loaded equals the value; leads elsewhere if not, where skip_to_here will say. */
static void unless_equal(struct program *program, uint32_t value)
{
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, value)->jf = FURTHEST_JUMP;
}

/* What was emitted since, and leads elsewhere, leads here. */
static void skip_to_here(struct program *program, unsigned since)
{
    for (unsigned at = since; at < program->length; at++) {
        struct sock_filter *instruction = &program->code[at];
        if (BPF_CLASS(instruction->code) == BPF_JMP && instruction->jf == FURTHEST_JUMP) {
            unsigned distance = program->length - at - 1;
            program->too_long |= distance >= FURTHEST_JUMP;
            instruction->jf = (uint8_t)distance;
        }
    }
}

static void only_this_kernel_interface(struct program *program)
{
    load(program, offsetof(struct seccomp_data, arch));
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64)->jt = 1;
    answer(program, SECCOMP_RET_KILL_PROCESS);
    load(program, offsetof(struct seccomp_data, nr));
    emit(program, BPF_JMP | BPF_JGE | BPF_K, X32)->jf = 1;
    answer(program, SECCOMP_RET_KILL_PROCESS);
}

static void only_if(struct program *program, const struct condition *condition)
{
    load_low(program, condition->argument);
    if (condition->kind == NULL_POINTER) {
        unless_equal(program, 0);
        load_high(program, condition->argument);
    } else if (condition->mask != UINT32_MAX) {
        emit(program, BPF_ALU | BPF_AND | BPF_K, condition->mask);
    }
    unless_equal(program, condition->value);
}

/* Returns whether there are conditions under which the rule says nothing. */
static bool apply(struct program *program, const struct rule *rule)
{
    unsigned begin = program->length;
    for (int i = 0; i < 2 && rule->when[i].kind != NONE; i++) {
        only_if(program, &rule->when[i]);
    }
    answer(program, rule->action);
    skip_to_here(program, begin);
    return rule->when[0].kind != NONE;
}

static void apply_all(struct program *program, const struct rule *all, unsigned count)
{
    for (unsigned at = 0; at < count;) {
        uint32_t call = all[at].call;
        unsigned begin = program->length;
        bool open = true;
        load(program, offsetof(struct seccomp_data, nr));
        unless_equal(program, call);
        for (; at < count && all[at].call == call; at++) {
            open = apply(program, &all[at]);
        }
        if (open) {
            answer(program, SECCOMP_RET_TRAP);
        }
        skip_to_here(program, begin);
    }
}

static int install(struct program *program, unsigned flags)
{
    if (program->too_long) {
        errno = E2BIG;
        return -1;
    }
    struct sock_fprog filter = {(unsigned short)program->length, program->code};
    long answered = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    if (answered > 0) { /* a thread that has another filter */
        errno = ESRCH;
    }
    return answered == 0 ? 0 : -1;
}

/* ---- users ---- */

static void forbid(struct program *program, uint32_t call)
{
    unsigned begin = program->length;
    load(program, offsetof(struct seccomp_data, nr));
    unless_equal(program, call);
    answer(program, SECCOMP_RET_TRAP);
    skip_to_here(program, begin);
}

static void only_within(struct program *program, uint32_t call, uint32_t first, uint32_t last)
{
    unsigned begin = program->length;
    load(program, offsetof(struct seccomp_data, nr));
    unless_equal(program, call);
    load_low(program, 1);
    emit(program, BPF_MISC | BPF_TAX, 0);
    load_low(program, 2);
    emit(program, BPF_JMP | BPF_JEQ | BPF_X, 0)->jf = 5;
    load_low(program, 0);
    emit(program, BPF_JMP | BPF_JEQ | BPF_X, 0)->jf = 3;
    emit(program, BPF_JMP | BPF_JGE | BPF_K, first)->jf = 2;
    emit(program, BPF_JMP | BPF_JGT | BPF_K, last)->jt = 1;
    answer(program, SECCOMP_RET_ALLOW);
    answer(program, SECCOMP_RET_TRAP);
    skip_to_here(program, begin);
}

static int limit_users(uint32_t first, uint32_t count, unsigned flags)
{
    if (first == 0 || count == 0 || count > (uint32_t)INT32_MAX || first > (uint32_t)INT32_MAX - count) {
        errno = EINVAL;
        return -1;
    }
    struct program program = {.length = 0};
    only_within(&program, SYS_setresuid, first, first + count - 1);
    only_within(&program, SYS_setresgid, first, first + count - 1);
    answer(&program, SECCOMP_RET_ALLOW);
    return install(&program, flags);
}

static int give_up_users(unsigned flags)
{
    /* The first list has no other call by which a process becomes somebody else. */
    static const uint32_t calls[] = {SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_capset};
    struct program program = {.length = 0};
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        forbid(&program, calls[i]);
    }
    answer(&program, SECCOMP_RET_ALLOW);
    return install(&program, flags);
}

int filter_users(uint32_t first, uint32_t count)
{
    return limit_users(first, count, 0);
}

int filter_no_users(void)
{
    return give_up_users(0);
}

/* ---- what is said of a call that is forbidden ---- */

static const char *const names[] = {
#include "calls.inc"
};

/* In a signal's handler: no stdio. */
struct line {
    char text[128];
    size_t length;
};

static void say(struct line *line, const char *words)
{
    while (*words != '\0' && line->length < sizeof line->text) {
        line->text[line->length++] = *words++;
    }
}

static void say_number(struct line *line, unsigned number)
{
    char digits[16];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    say(line, &digits[at]);
}

static void end(int signal, siginfo_t *about, void *context)
{
    (void)signal;
    (void)context;
    unsigned call = (unsigned)about->si_syscall;
    struct line line = {.length = 0};
    say(&line, "podflare: system call ");
    say_number(&line, call);
    if (call < sizeof names / sizeof names[0] && names[call] != NULL) {
        say(&line, " (");
        say(&line, names[call]);
        say(&line, ")");
    }
    say(&line, " is not allowed; the machine ends\n");
    if (write(STDERR_FILENO, line.text, line.length) < 0) {
        _exit(ENDED_BY_FILTER + 1); /* the log is full: RLIMIT_FSIZE */
    }
    _exit(ENDED_BY_FILTER);
}

/*
 * A blocked signal that a filter raises kills without a word, and one that stops threads would not stop this one.
 * The monitor blocks all signals in its threads, so its way to do that is taken by these.
 */
static void leave_open(sigset_t *set)
{
    sigdelset(set, SIGSYS);
    sigdelset(set, SIGFPE);
}

EXPORTED int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    sigset_t allowed;
    if (set != NULL) {
        allowed = *set;
        if (how != SIG_UNBLOCK) {
            leave_open(&allowed);
        }
        set = &allowed;
    }
    int saved = errno;
    int failure = syscall(SYS_rt_sigprocmask, how, set, before, _NSIG / 8) < 0 ? errno : 0;
    errno = saved;
    return failure;
}

EXPORTED int sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
    int failure = pthread_sigmask(how, set, before);
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return 0;
}

/* ---- before main ---- */

static void refuse(const char *what) __attribute__((noreturn));

static void refuse(const char *what)
{
    dprintf(STDERR_FILENO, "podflare: %s: %s; the machine does not start\n", what, strerror(errno));
    _exit(EXIT_FAILURE);
}

static int limit_users_to(const char *range)
{
    char *end;
    errno = 0;
    unsigned long first = strtoul(range, &end, 10);
    unsigned long count = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (errno != 0 || *end != '\0' || first > UINT32_MAX || count > UINT32_MAX) {
        errno = EINVAL;
        return -1;
    }
    return limit_users((uint32_t)first, (uint32_t)count, SECCOMP_FILTER_FLAG_TSYNC);
}

void filter_before_main(void)
{
    struct sigaction action = {.sa_sigaction = end, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) < 0) {
        refuse("SIGSYS");
    }
    /* Neither its memory nor its /proc is open to others of its user, be they relatives. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        refuse("PR_SET_DUMPABLE");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        refuse("PR_SET_NO_NEW_PRIVS");
    }
    const char *range = getenv("PODFLARE_USERS");
    if ((range == NULL ? give_up_users(SECCOMP_FILTER_FLAG_TSYNC) : limit_users_to(range)) < 0) {
        refuse("the filter of users");
    }
    static struct program program;
    only_this_kernel_interface(&program);
    apply_all(&program, rules, sizeof rules / sizeof rules[0]);
    answer(&program, SECCOMP_RET_TRAP);
    if (install(&program, SECCOMP_FILTER_FLAG_TSYNC) < 0) {
        refuse("the filter of system calls");
    }
}

/*
 * podflare-jail: starts one machine monitor with nothing but what it needs.
 *
 *   podflare-jail [option value]... -- program argument...
 *
 *   --listen PATH    binds a Unix socket there, mode 0600; the first one becomes descriptor 4, the next 5, ...
 *   --listen-packets PATH
 *                    the same, counted together, for messages that stay whole (SOCK_SEQPACKET)
 *   --netns PATH     enters this network namespace
 *   --tap NAME       opens this tap device of that namespace as descriptor 3
 *   --cgroup PATH    writes the process into this cgroup.procs file; may be given several times
 *   --readonly S:T   shows the host's S inside of the jail as T, read-only; may be given several times
 *   --writable S:T   the same, writable; either can be a single file
 *   --device PATH    makes a node of this device inside of the jail, for the program's user alone
 *   --root DIR       an empty directory to build the jail's root on (a tmpfs hides it, only in the jail)
 *   --uid N          user and group to become
 *   --users FIRST:COUNT
 *                    leaves it the right to become another user. PODFLARE_USERS has the same value for the preloaded
 *                    object, which limits the right to these ids: the kernel itself can't
 *   --files N        limit of open descriptors
 *   --file-size N    limit of any file that it writes, its log above all, in bytes
 *   --log PATH       where the program's standard output and error go
 *   --preload PATH   LD_PRELOAD of the program, a path inside of the jail
 *
 * It says "ready\n" on its standard output just before it becomes the program: by then the sockets exist,
 * so whoever reads that line can connect without polling. Any failure is one line on standard error and
 * exit code 125, and nothing has been started.
 *
 * What holds after exec: own session; own user and no capability that could come back (no_new_privs, empty
 * bounding set), but for the two of --users; own mount namespace whose root has only the paths named; own IPC and
 * UTS namespaces; no descriptor but 0, 1, 2, the tap and the sockets. Where the kernel has Landlock, what it reads,
 * writes and executes beneath these paths is limited a second time, it binds and connects no TCP socket, and no
 * signal and no connection to an abstract socket leaves the jail, each as far as the kernel's version goes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { TAP_FD = 3, FIRST_SOCKET_FD = 4, MOST = 16, NICENESS = 5, FAILED = 125 };

struct list {
    const char *item[MOST];
    int count;
};

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *format, ...)
{
    int cause = errno;
    va_list arguments;
    va_start(arguments, format);
    fputs("podflare-jail: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(cause));
    exit(FAILED);
}

struct sockets {
    struct list paths;
    int type[MOST];
};

static void add(struct list *list, const char *item)
{
    if (list->count == MOST) {
        errno = E2BIG;
        fail("too many options, at %s", item);
    }
    list->item[list->count++] = item;
}

static void add_socket(struct sockets *sockets, const char *path, int type)
{
    add(&sockets->paths, path);
    sockets->type[sockets->paths.count - 1] = type;
}

/* Moves a descriptor to the number that the program's arguments name. */
static void place(int from, int to)
{
    if (from == to) {
        return;
    }
    if (dup2(from, to) < 0) {
        fail("dup2 to %d", to);
    }
    close(from);
}

static void listen_on(const char *path, int type, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail("socket %s", path);
    }
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, type, 0);
    if (listener < 0) {
        fail("socket");
    }
    mode_t before = umask(0177);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        fail("bind %s", path);
    }
    umask(before);
    if (listen(listener, 4) < 0) {
        fail("listen on %s", path);
    }
    place(listener, fd);
}

static void open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    if (strlen(name) >= sizeof request.ifr_name) {
        errno = ENAMETOOLONG;
        fail("tap %s", name);
    }
    strcpy(request.ifr_name, name);
    int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0) {
        fail("open /dev/net/tun");
    }
    if (ioctl(tap, TUNSETIFF, &request) < 0) {
        fail("attach to tap %s", name);
    }
    place(tap, TAP_FD);
}

static void enter_network(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("open %s", path);
    }
    if (setns(fd, CLONE_NEWNET) < 0) {
        fail("enter %s", path);
    }
    close(fd);
}

static void join_cgroup(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("open %s", path);
    }
    if (write(fd, "0", 1) != 1) {
        fail("join %s", path);
    }
    close(fd);
}

static void make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            fail("mkdir %s", path);
        }
        *slash = '/';
    }
}

/* Binds source at root/target. A link (such as /lib on a merged-/usr system) is made again as a link. */
static void show(const char *root, const char *source, const char *target, int read_only)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", root, target) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        fail("%s", target);
    }
    make_parents(path);
    struct stat kind;
    if (lstat(source, &kind) < 0) {
        fail("%s", source);
    }
    if (S_ISLNK(kind.st_mode)) {
        char link[4096];
        ssize_t length = readlink(source, link, sizeof link - 1);
        if (length < 0) {
            fail("readlink %s", source);
        }
        link[length] = '\0';
        if (symlink(link, path) < 0) {
            fail("link %s", path);
        }
        return;
    }
    if (S_ISDIR(kind.st_mode)) {
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            fail("mkdir %s", path);
        }
    } else {
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0) {
            fail("create %s", path);
        }
        close(fd);
    }
    if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
        fail("show %s", source);
    }
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
    flags |= read_only ? MS_RDONLY : 0;
    if (mount(NULL, path, NULL, flags, NULL) < 0) {
        fail("restrict %s", source);
    }
}

/* A node of our own, as the host's may be open to root or a group only: /dev/kvm often is. */
static void make_device(const char *root, const char *device, unsigned long uid)
{
    char path[4096];
    struct stat kind;
    if (snprintf(path, sizeof path, "%s%s", root, device) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        fail("%s", device);
    }
    make_parents(path);
    if (stat(device, &kind) < 0) {
        fail("%s", device);
    }
    if (!S_ISCHR(kind.st_mode)) {
        errno = ENODEV;
        fail("%s", device);
    }
    if (mknod(path, S_IFCHR | 0600, kind.st_rdev) < 0 || chown(path, uid, uid) < 0) {
        fail("make a node of %s", device);
    }
}

static void show_pairs(const char *root, const struct list *pairs, int read_only)
{
    for (int i = 0; i < pairs->count; i++) {
        char *pair = strdup(pairs->item[i]);
        char *colon = pair == NULL ? NULL : strchr(pair, ':');
        if (colon == NULL) {
            errno = EINVAL;
            fail("%s is not source:target", pairs->item[i]);
        }
        *colon = '\0';
        show(root, pair, colon + 1, read_only);
        free(pair);
    }
}

static void build_root(const char *root, const struct list *readonly, const struct list *writable,
                       const struct list *devices, unsigned long uid)
{
    /* MS_SLAVE: an unmount on the host still frees its disk, and nothing mounted here is seen outside. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        fail("make mounts private");
    }
    if (mount("jail", root, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=0755") < 0) {
        fail("mount tmpfs on %s", root);
    }
    show_pairs(root, readonly, 1);
    show_pairs(root, writable, 0);
    for (int i = 0; i < devices->count; i++) {
        make_device(root, devices->item[i], uid);
    }
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        fail("pivot into %s", root);
    }
    /* The old root now lies on top of the new one: pivot_root(2), "pivot_root(".", ".")". */
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
        fail("leave the old root");
    }
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0) {
        fail("make the jail's root read-only");
    }
}

/* What is left to a program with --users, and stays over exec. */
static const unsigned USERS_CAPABILITIES[] = {CAP_SETUID, CAP_SETGID};

enum { USERS_MASK = 1 << CAP_SETUID | 1 << CAP_SETGID };

static void capabilities(long call, struct __user_cap_data_struct *data)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    if (syscall(call, &header, data) < 0) {
        fail("capabilities");
    }
}

/* Sets of 64 capabilities are two words each; ours are in the first. */
static void keep_only(uint32_t kept)
{
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = kept, .permitted = kept, .inheritable = kept}};
    capabilities(SYS_capset, data);
}

/* Before the bounding set is emptied: nothing becomes inheritable that is not in it. */
static void make_inheritable(uint32_t added)
{
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    capabilities(SYS_capget, data);
    data[0].inheritable |= added;
    capabilities(SYS_capset, data);
}

static void drop_bounding_set(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability) < 0) {
            fail("drop capability %d", capability);
        }
    }
}

static void become(unsigned long uid)
{
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0) {
        fail("become user %lu", uid);
    }
}

static void drop_privileges(unsigned long uid)
{
    drop_bounding_set();
    become(uid);
    keep_only(0);
}

/* Ambient capabilities are all that reaches a program without file capabilities; they must be inheritable. */
static void drop_all_but_users(unsigned long uid)
{
    make_inheritable(USERS_MASK);
    drop_bounding_set();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        fail("keep capabilities");
    }
    become(uid);
    keep_only(USERS_MASK);
    for (unsigned i = 0; i < sizeof USERS_CAPABILITIES / sizeof USERS_CAPABILITIES[0]; i++) {
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, USERS_CAPABILITIES[i], 0, 0) < 0) {
            fail("keep capability %u", USERS_CAPABILITIES[i]);
        }
    }
}

/* ---- Landlock. What is newer than Debian 12's header is written out: landlock(7) has the numbers. ---- */

struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

enum {
    READING = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    REFER = 1 << 13,     /* from version 2 */
    TRUNCATE = 1 << 14,  /* 3 */
    IOCTL_DEV = 1 << 15, /* 5 */
    OF_A_FILE = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE
                | IOCTL_DEV,
    WRITING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE
              | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG
              | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | REFER | TRUNCATE,
    USING_A_DEVICE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | IOCTL_DEV,
    TCP = 1 << 0 | 1 << 1,                      /* bind, connect: from version 4 */
    ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1, /* 6 */
};

/* All that this version of Landlock can forbid. */
static struct ruleset all_of(long version)
{
    uint64_t files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    files |= version >= 2 ? REFER : 0;
    files |= version >= 3 ? TRUNCATE : 0;
    files |= version >= 5 ? IOCTL_DEV : 0;
    return (struct ruleset){files, version >= 4 ? TCP : 0, version >= 6 ? ABSTRACT_SOCKETS_AND_SIGNALS : 0};
}

/* An older kernel refuses a ruleset that is longer than it knows, unless the rest is zero. */
static int open_ruleset(const struct ruleset *forbidden)
{
    int rules = (int)syscall(SYS_landlock_create_ruleset, forbidden, sizeof *forbidden, 0);
    if (rules < 0) {
        fail("make Landlock's rules");
    }
    return rules;
}

static void permit(int rules, uint64_t known, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        fail("open %s", path);
    }
    struct stat kind;
    if (fstat(fd, &kind) < 0) {
        fail("%s", path);
    }
    access &= S_ISDIR(kind.st_mode) ? known : known & OF_A_FILE;
    struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0) {
        fail("permit %s", path);
    }
    close(fd);
}

static void permit_pairs(int rules, uint64_t known, const struct list *pairs, uint64_t access)
{
    for (int i = 0; i < pairs->count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "/%s", strchr(pairs->item[i], ':') + 1);
        permit(rules, known, path, access);
    }
}

/* The paths named are seen at their targets by now. A kernel without Landlock is no failure: the mounts hold alone. */
static void limit_access(const struct list *readonly, const struct list *writable, const struct list *devices)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return;
    }
    struct ruleset forbidden = all_of(version);
    int rules = open_ruleset(&forbidden);
    permit(rules, forbidden.files, "/", LANDLOCK_ACCESS_FS_READ_DIR);
    permit_pairs(rules, forbidden.files, readonly, READING);
    permit_pairs(rules, forbidden.files, writable, WRITING);
    for (int i = 0; i < devices->count; i++) {
        permit(rules, forbidden.files, devices->item[i], USING_A_DEVICE);
    }
    if (syscall(SYS_landlock_restrict_self, rules, 0) < 0) {
        fail("apply Landlock's rules");
    }
    close(rules);
}

static void limit(int resource, rlim_t value)
{
    struct rlimit limits = {value, value};
    if (setrlimit(resource, &limits) < 0) {
        fail("rlimit %d", resource);
    }
}

static unsigned long number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || *text == '-') {
        errno = EINVAL;
        fail("%s is not a number", text);
    }
    return value;
}

/* Such as 1878000000:2000. Neither end may be root, nor what the kernel takes for "no change". */
static void check_range(const char *range)
{
    char *end;
    errno = 0;
    unsigned long first = strtoul(range, &end, 10);
    unsigned long count = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (errno != 0 || *end != '\0' || first == 0 || count == 0 || first > INT_MAX || count > INT_MAX - first) {
        errno = EINVAL;
        fail("%s is no range of users", range);
    }
}

int main(int argc, char **argv)
{
    struct sockets sockets = {0};
    struct list cgroups = {0}, readonly = {0}, writable = {0}, devices = {0};
    struct list environment = {0};
    const char *netns = NULL, *tap = NULL, *root = NULL, *log = NULL, *preload = NULL;
    const char *users = NULL;
    unsigned long uid = 0, files = 256, file_size = 0;
    int at = 1;

    for (; at < argc && strcmp(argv[at], "--") != 0; at += 2) {
        const char *option = argv[at];
        const char *value = argv[at + 1];
        if (value == NULL) {
            errno = EINVAL;
            fail("%s needs a value", option);
        }
        if (strcmp(option, "--listen") == 0) add_socket(&sockets, value, SOCK_STREAM);
        else if (strcmp(option, "--listen-packets") == 0) add_socket(&sockets, value, SOCK_SEQPACKET);
        else if (strcmp(option, "--netns") == 0) netns = value;
        else if (strcmp(option, "--tap") == 0) tap = value;
        else if (strcmp(option, "--cgroup") == 0) add(&cgroups, value);
        else if (strcmp(option, "--readonly") == 0) add(&readonly, value);
        else if (strcmp(option, "--writable") == 0) add(&writable, value);
        else if (strcmp(option, "--device") == 0) add(&devices, value);
        else if (strcmp(option, "--root") == 0) root = value;
        else if (strcmp(option, "--uid") == 0) uid = number(value);
        else if (strcmp(option, "--users") == 0) users = value;
        else if (strcmp(option, "--files") == 0) files = number(value);
        else if (strcmp(option, "--file-size") == 0) file_size = number(value);
        else if (strcmp(option, "--log") == 0) log = value;
        else if (strcmp(option, "--preload") == 0) preload = value;
        else {
            errno = EINVAL;
            fail("unknown option %s", option);
        }
    }
    /* Anything larger would be cut off to another user's id, or mean "no change" to the kernel. */
    if (uid > INT_MAX) {
        errno = EINVAL;
        fail("%lu is no user id", uid);
    }
    if (users != NULL) {
        check_range(users);
    }
    if (argc - at < 2 || root == NULL || uid == 0 || log == NULL) {
        errno = EINVAL;
        fail("--root, --uid, --log and a program are needed");
    }

    /* The terminal's Ctrl-C must reach the server only; the server ends its machines itself. */
    if (setsid() < 0 && errno != EPERM) {
        fail("setsid");
    }
    if (syscall(SYS_close_range, TAP_FD, ~0U, 0) < 0) {
        fail("close inherited descriptors");
    }
    /* Reserve the numbers, so that nothing opened below lands on one of them by chance. */
    for (int fd = TAP_FD; fd < FIRST_SOCKET_FD + sockets.paths.count; fd++) {
        if (open("/dev/null", O_RDONLY) != fd) {
            fail("reserve descriptor %d", fd);
        }
    }
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log_fd < 0) {
        fail("open %s", log);
    }
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        fail("open /dev/null");
    }
    for (int i = 0; i < cgroups.count; i++) {
        join_cgroup(cgroups.item[i]);
    }
    for (int i = 0; i < sockets.paths.count; i++) {
        listen_on(sockets.paths.item[i], sockets.type[i], FIRST_SOCKET_FD + i);
    }
    if (netns != NULL) {
        enter_network(netns);
    }
    if (tap != NULL) {
        open_tap(tap);
    }
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (netns == NULL ? CLONE_NEWNET : 0)) < 0) {
        fail("unshare");
    }
    build_root(root, &readonly, &writable, &devices, uid);
    /* The server answers for all of them, and children of a fork that are still to start wait for those that run. */
    if (setpriority(PRIO_PROCESS, 0, NICENESS) < 0) {
        fail("setpriority");
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, files);
    if (file_size > 0) {
        limit(RLIMIT_FSIZE, file_size);
    }
    if (users == NULL) {
        drop_privileges(uid);
    } else {
        drop_all_but_users(uid);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        fail("no_new_privs");
    }
    limit_access(&readonly, &writable, &devices);

    char users_variable[64];
    if (users != NULL) {
        snprintf(users_variable, sizeof users_variable, "PODFLARE_USERS=%s", users);
        add(&environment, users_variable);
    }
    char preload_variable[4096];
    if (preload != NULL) {
        snprintf(preload_variable, sizeof preload_variable, "LD_PRELOAD=%s", preload);
        add(&environment, preload_variable);
    }
    add(&environment, NULL);

    if (access(argv[at + 1], X_OK) < 0) {
        fail("start %s", argv[at + 1]);
    }
    if (write(STDOUT_FILENO, "ready\n", 6) != 6) {
        fail("say ready");
    }
    if (dup2(log_fd, STDERR_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0
        || dup2(null_fd, STDIN_FILENO) < 0) {
        fail("redirect");
    }
    execve(argv[at + 1], &argv[at + 1], (char *const *)environment.item);
    fail("start %s", argv[at + 1]);
}

/*
 * LD_PRELOAD library of the kill-point tests: counts what a process asks of the kernel, and kills it
 * (SIGKILL) right before or right after the n-th of these operations.
 *
 * An rtnetlink send of several messages goes out as one send for each message: so a death between
 * any two messages of a batch is a point, too. The kernel handles a batch message by message, and
 * sees no difference.
 *
 * The control block is a file that the test maps as well (tests/support/death/switch.py).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 1024, NAME_BYTES = 48, BEFORE = 0, AFTER = 1 };

struct control {
    atomic_uint counting; /* 0: nothing is counted */
    atomic_uint target;   /* die at this operation, counted from 1; 0: never */
    atomic_uint moment;
    atomic_uint count;
    char names[NAMES][NAME_BYTES];
};

static struct control *control;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("DEATH_SWITCH");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *block = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (block != MAP_FAILED)
        control = block;
}

/* To be called by a program that wants to be counted from here on only. */
void death_switch_begin(void)
{
    if (control)
        atomic_store(&control->counting, 1);
}

static unsigned before(const char *name, const char *detail)
{
    if (!control || !atomic_load(&control->counting))
        return 0;
    unsigned number = atomic_fetch_add(&control->count, 1) + 1;
    if (number < NAMES)
        snprintf(control->names[number], NAME_BYTES, "%s %s", name, detail);
    if (number == atomic_load(&control->target) && atomic_load(&control->moment) == BEFORE)
        kill(getpid(), SIGKILL);
    return number;
}

static void after(unsigned number)
{
    if (number && number == atomic_load(&control->target) && atomic_load(&control->moment) == AFTER)
        kill(getpid(), SIGKILL);
}

static const char *base(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPERATION(kind, name, parameters, arguments, detail) \
    kind name parameters \
    { \
        unsigned number = before(#name, detail); \
        kind result = REAL(name) arguments; \
        after(number); \
        return result; \
    }

OPERATION(int, socket, (int family, int type, int protocol), (family, type, protocol), "")
OPERATION(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), "")
OPERATION(int, listen, (int fd, int backlog), (fd, backlog), "")
OPERATION(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f), "")
OPERATION(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), "")
OPERATION(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f), "answer")
OPERATION(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), "")
OPERATION(ssize_t, recv, (int fd, void *b, size_t n, int f), (fd, b, n, f), "")
OPERATION(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f), "")
OPERATION(int, setns, (int fd, int kind), (fd, kind), "")
OPERATION(int, mkdir, (const char *p, mode_t m), (p, m), base(p))
OPERATION(int, unlink, (const char *p), (p), base(p))
OPERATION(int, unlinkat, (int d, const char *p, int f), (d, p, f), "")
OPERATION(int, rename, (const char *o, const char *n), (o, n), base(n))
OPERATION(int, renameat, (int d, const char *o, int e, const char *n), (d, o, e, n), "")
OPERATION(DIR *, opendir, (const char *p), (p), base(p))
OPERATION(int, flock, (int fd, int kind), (fd, kind), "")

ssize_t write(int fd, const void *bytes, size_t size)
{
    /* The log is no operation. */
    unsigned number = fd == STDERR_FILENO ? 0 : before("write", "");
    ssize_t result = REAL(write)(fd, bytes, size);
    after(number);
    return result;
}

#define OPEN(name, parameters, arguments) \
    int name parameters \
    { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        unsigned number = before("open", base(path)); \
        int result = REAL(name) arguments; \
        after(number); \
        return result; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int directory, const char *path, int flags, ...), (directory, path, flags, mode))
OPEN(openat64, (int directory, const char *path, int flags, ...), (directory, path, flags, mode))

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
               socklen_t to_size)
{
    int family = 0, protocol = 0;
    socklen_t family_size = sizeof family, protocol_size = sizeof protocol;
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = REAL(sendto);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_size);
    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_size);
    if (family != AF_NETLINK || protocol != NETLINK_ROUTE) {
        /* A batch of nf_tables is one transaction: nothing can die inside. */
        unsigned number = before(family == AF_NETLINK ? "netlink nft" : "send", "");
        ssize_t sent = real(fd, bytes, size, flags, to, to_size);
        after(number);
        return sent;
    }
    size_t at = 0;
    while (at + sizeof(struct nlmsghdr) <= size) {
        const struct nlmsghdr *header = (const void *)((const char *)bytes + at);
        size_t length = NLMSG_ALIGN(header->nlmsg_len);
        char type[16];
        snprintf(type, sizeof type, "rtm %d", header->nlmsg_type);
        if (length < sizeof *header || at + length > size)
            abort();
        unsigned number = before("netlink", type);
        ssize_t sent = real(fd, header, length, flags, to, to_size);
        after(number);
        if (sent < 0)
            return sent;
        at += length;
    }
    return (ssize_t)at;
}

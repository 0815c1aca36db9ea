/* The system calls of the shim: byte streams, the server's socket, the spool's files. */
#include "state.h"

/* Byte streams */

/* How many of `size` bytes pass: less than all, or an error (-1). */
static ssize_t passing(unsigned what, size_t size, int error)
{
    switch (what) {
    case 1: return failing(EINTR);
    case 2: return failing(EAGAIN);
    case 3: return failing(error);
    case 4: return size > 1 ? 1 : (ssize_t)size;
    case 5: return (ssize_t)(size / 2 + size % 2);
    default: return (ssize_t)size;
    }
}

static ssize_t taken(const struct section *from, size_t *at, void *bytes, size_t size, int error)
{
    size_t left = from->size - *at;
    ssize_t count = passing(fault(), left < size ? left : size, error);
    if (count > 0) {
        memcpy(bytes, from->bytes + *at, (size_t)count);
        *at += (size_t)count;
    }
    return count;
}

static void captured(char *to, size_t *to_size, const void *bytes, size_t size)
{
    if (*to_size + size > CAPTURED)
        violated("more output than any limit allows");
    memcpy(to + *to_size, bytes, size);
    *to_size += size;
}

ssize_t world_read(int fd, void *bytes, size_t size)
{
    if (fd != STDIN_FILENO)
        violated("read of another descriptor");
    return taken(&world.test->part[INPUT], &world.input_at, bytes, size, EIO);
}

ssize_t world_write(int fd, const void *bytes, size_t size)
{
    ssize_t count = passing(fault(), size, fd == STDOUT_FILENO ? EPIPE : ENOSPC);
    if (fd == STDOUT_FILENO) {
        if (count > 0)
            captured(world.out, &world.out_size, bytes, (size_t)count);
        else if (count < 0 && errno == EPIPE)
            world.stdout_failed = 1;
    } else if (fd == SPOOL_FILE && world.open_fds[SPOOL_FILE - SOCKET]) {
        if (count > 0)
            captured(world.spool, &world.spool_size, bytes, (size_t)count);
        else if (count < 0 && errno == ENOSPC)
            world.spool_failed = 1;
    } else {
        violated("write to another descriptor");
    }
    return count;
}

int world_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    unsigned what = fault();
    int silent = (fds->fd == STDIN_FILENO && world.stdin_silent
                  && world.input_at == world.test->part[INPUT].size)
                 || (fds->fd == SOCKET && (fds->events & POLLIN) && world.server_silent
                     && world.reply_at == world.test->part[REPLY].size);
    if (count != 1)
        violated("poll of several descriptors");
    if (what == 1)
        return failing(EINTR);
    if (what == 3) {
        world.stdout_failed |= fds->fd == STDOUT_FILENO;
        world.spool_failed |= fds->fd == SPOOL_FILE;
        return failing(ENOMEM);
    }
    if (silent && timeout_ms < 0)
        violated("waits for ever");
    if (silent || (what == 2 && timeout_ms >= 0)) {
        world.clock_us += (int64_t)timeout_ms * 1000;
        return 0;
    }
    world.clock_us += what % 4 * 1000;
    fds->revents = fds->events;
    return 1;
}

/* The server */

static int opened(int fd)
{
    world.open_fds[fd - SOCKET] = 1;
    return fd;
}

int world_socket(int family, int type, int protocol)
{
    if (family != AF_UNIX || !(type & SOCK_NONBLOCK) || protocol != 0)
        violated("another kind of socket");
    return fault() == 7 ? failing(EMFILE) : opened(SOCKET);
}

int world_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    static const int errors[] = {EINTR, ENOENT, ECONNREFUSED, EAGAIN, EACCES};
    unsigned what = fault();
    if (fd != SOCKET || !address || size != sizeof(struct sockaddr_un))
        violated("connect to something else");
    if (what >= 1 && what <= 5)
        return failing(errors[what - 1]);
    world.connected = 1;
    return 0;
}

ssize_t world_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (fd != SOCKET || !(flags & MSG_NOSIGNAL) || message->msg_iovlen != 1)
        violated("sendmsg of another kind");
    if (message->msg_control && world.sent_size)
        violated("the sandbox is sent twice");
    ssize_t count = passing(fault(), message->msg_iov->iov_len, EPIPE);
    if (count > 0)
        captured(world.sent, &world.sent_size, message->msg_iov->iov_base, (size_t)count);
    return count;
}

ssize_t world_recv(int fd, void *bytes, size_t size, int flags)
{
    (void)flags;
    if (fd != SOCKET)
        violated("recv of another descriptor");
    if (world.server_silent && world.reply_at == world.test->part[REPLY].size)
        return failing(EAGAIN);
    return taken(&world.test->part[REPLY], &world.reply_at, bytes, size, ECONNRESET);
}

/* Files */

int world_open(const char *path, int flags, ...)
{
    unsigned what = fault();
    if (strcmp(path, "/dev/null") == 0)
        return what == 7 ? failing(EMFILE) : opened(OTHER);
    if (flags & O_DIRECTORY)
        return what == 7 ? (world.spool_failed = 1, failing(ENOTDIR)) : opened(SPOOL_DIRECTORY);
    if (!(flags & O_NONBLOCK))
        violated("an open that may block");
    return what == 7 ? failing(ENOENT) : opened(OTHER);
}

int world_openat(int directory, const char *path, int flags, ...)
{
    if (directory != SPOOL_DIRECTORY || !(flags & O_EXCL) || path[0] != '.')
        violated("a file that is not the spool's");
    world.spool_size = 0;
    return fault() == 7 ? (world.spool_failed = 1, failing(ENOSPC)) : opened(SPOOL_FILE);
}

int world_close(int fd)
{
    if (fd < SOCKET || fd > OTHER || !world.open_fds[fd - SOCKET])
        violated("close of what is not open");
    world.open_fds[fd - SOCKET] = 0;
    if (fd == SPOOL_FILE && fault() == 7)
        return world.spool_failed = 1, failing(EIO);
    return 0;
}

int world_mkdir(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    switch (fault()) {
    case 1: return 0;
    case 2: return world.spool_failed = 1, failing(EROFS);
    default: return failing(EEXIST);
    }
}

int world_renameat(int from, const char *old, int to, const char *name)
{
    if (from != SPOOL_DIRECTORY || to != from || old[0] != '.' || strcmp(old + 1, name) != 0)
        violated("another rename");
    if (world.open_fds[SPOOL_FILE - SOCKET])
        violated("a rename before the close");
    if (fault() == 7)
        return world.spool_failed = 1, failing(EIO);
    return world.spooled = 1, 0;
}

int world_unlinkat(int directory, const char *path, int flags)
{
    (void)flags;
    if (directory != SPOOL_DIRECTORY || path[0] != '.')
        violated("unlinks another file");
    return 0;
}

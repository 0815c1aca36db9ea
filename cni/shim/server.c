/* The conversation with the CNI server. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_HEADER_BYTES = 8, CONNECT_PAUSE_MS = 10 };

static uint32_t get_u32le(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Wait for the socket until the deadline: 1, or 0 when the time is over. */
static int wait_socket(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd ready = {.fd = fd, .events = events};
        int found = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (found < 0 && errno == EINTR)
            continue;
        return found > 0;
    }
}

/* Connect, waiting up to `wait_ms` for a server to listen: the descriptor, or -1 with errno. */
static int connect_server(int64_t wait_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    int64_t until = now_ms() + wait_ms;
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return -1;
        int done;
        do
            done = connect(fd, (struct sockaddr *)&address, sizeof address);
        while (done < 0 && errno == EINTR);
        if (done == 0)
            return fd;
        int reason = errno;
        close(fd);
        errno = reason;
        /* EAGAIN: a server is there and its backlog full. Worth the wait for every command. */
        int64_t give_up = reason == EAGAIN ? until + CONNECT_WAIT_MS - wait_ms : until;
        if ((reason != ENOENT && reason != ECONNREFUSED && reason != EAGAIN)
            || now_ms() + CONNECT_PAUSE_MS > give_up)
            return -1;
        pause_ms(CONNECT_PAUSE_MS);
    }
}

/* Send the request, the sandbox with its first byte. 0, or -1. */
static int send_request(int fd, const struct buffer *request, int sandbox, int64_t deadline_ms)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    size_t sent = 0;
    while (sent < request->size) {
        struct iovec part = {request->bytes + sent, request->size - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (sent == 0 && sandbox >= 0) {
            message.msg_control = control.bytes;
            message.msg_controllen = sizeof control.bytes;
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &sandbox, sizeof sandbox);
        }
        ssize_t done = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (done >= 0)
            sent += (size_t)done;
        else if (errno == EAGAIN ? !wait_socket(fd, POLLOUT, deadline_ms) : errno != EINTR)
            return -1;
    }
    return 0;
}

/* Receive exactly `size` bytes. 0, or -1 when the server or the time ended before. */
static int receive_all(int fd, char *bytes, size_t size, int64_t deadline_ms)
{
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        } else if (got == 0 || (errno == EAGAIN ? !wait_socket(fd, POLLIN, deadline_ms) : errno != EINTR)) {
            return -1;
        }
    }
    return 0;
}

/* Hand the request over and print the answer; `exit_code` is set only with ANSWERED. */
enum outcome ask(const struct buffer *request, int sandbox, int64_t wait_ms, int64_t deadline_ms,
                 int *exit_code)
{
    int fd = connect_server(wait_ms);
    if (fd < 0)
        return UNREACHABLE;
    /* A server that refuses a request may answer before it has read all of it: read on regardless. */
    (void)send_request(fd, request, sandbox, deadline_ms);
    unsigned char header[REPLY_HEADER_BYTES];
    enum outcome outcome = UNKNOWN;
    if (receive_all(fd, (char *)header, sizeof header, deadline_ms) == 0) {
        uint32_t size = get_u32le(header + 4);
        char *answer = size <= MAX_REPLY_BYTES ? malloc(size ? size : 1) : NULL;
        if (answer && receive_all(fd, answer, size, deadline_ms) == 0) {
            uint32_t code = get_u32le(header);
            *exit_code = code == 0 ? 0 : (code < 256 ? (int)code : 1);
            if (write_all(STDOUT_FILENO, answer, size) == 0)
                outcome = ANSWERED;
        }
        free(answer);
    }
    close(fd);
    return outcome;
}

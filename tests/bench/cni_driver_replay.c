/*
 * The floor: the messages of one ADD, packed beforehand, sent from C. A file holds conversations, each
 * 8 bytes of header and the messages: 'n' in the node, 'p' in the pod or 'f' to nf_tables, then three
 * bytes of padding and the size as a native u32.
 * The message of each that asks for an acknowledgement is waited for. The sandbox is descriptor
 * SANDBOX, as the creation names it.
 */
#define _GNU_SOURCE
#include "cni_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SANDBOX = 5000, MAX_ROUNDS = 2000, MAX_BYTES = 65536, HEADER = 8 };

static size_t load(const char *path, char *bytes)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, bytes, MAX_BYTES);
    if (size <= 0) {
        perror(path);
        exit(2);
    }
    close(file);
    return (size_t)size;
}

static int open_netlink(int protocol)
{
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    int one = 1;
    setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&own, sizeof own) < 0)
        exit(2);
    return descriptor;
}

/* Send one conversation and wait for the acknowledgement of its last message: 0, or an errno. */
static int converse(int descriptor, const char *bytes, uint32_t size)
{
    uint32_t last = 0;
    for (uint32_t at = 0; at < size;) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)(bytes + at);
        if (header->nlmsg_flags & NLM_F_ACK)
            last = header->nlmsg_seq;
        at += NLMSG_ALIGN(header->nlmsg_len);
    }
    if (send(descriptor, bytes, size, 0) != (ssize_t)size)
        return -1;
    char answer[32768];
    for (;;) {
        ssize_t got = recv(descriptor, answer, sizeof answer, 0);
        if (got <= 0)
            return -1;
        struct nlmsghdr *header = (struct nlmsghdr *)(void *)answer;
        for (; NLMSG_OK(header, (size_t)got); header = NLMSG_NEXT(header, got)) {
            if (header->nlmsg_type != NLMSG_ERROR)
                continue;
            int error = ((struct nlmsgerr *)NLMSG_DATA(header))->error;
            /* ESRCH: the multicast route is not there yet, which the ADD tolerates, too. */
            if ((error && error != -ESRCH) || header->nlmsg_seq == last)
                return -error;
        }
    }
}

static int play(const char *bytes, size_t size, int node, int filter, int pod)
{
    for (size_t at = 0; at < size;) {
        uint32_t length;
        memcpy(&length, bytes + at + 4, sizeof length);
        int descriptor = bytes[at] == 'n' ? node : bytes[at] == 'f' ? filter : pod;
        int error = converse(descriptor, bytes + at + HEADER, length);
        if (error)
            return error;
        at += HEADER + length;
    }
    return 0;
}

static int compare(const void *one, const void *two)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)two;
    return (a > b) - (a < b);
}

void replay(int first, int rounds, const char *file, const char *undo_file)
{
    static _Alignas(8) char bytes[MAX_BYTES], undo[MAX_BYTES];
    static int64_t took[MAX_ROUNDS];
    size_t size = load(file, bytes), undo_size = load(undo_file, undo);
    int node = open_netlink(NETLINK_ROUTE), filter = open_netlink(NETLINK_NETFILTER), error = 0;
    if (rounds > MAX_ROUNDS)
        rounds = MAX_ROUNDS;
    for (int round = 0; round < rounds; round++) {
        int64_t began = now_ns();
        int namespace = open_namespace(first);
        if (dup2(namespace, SANDBOX) < 0)
            exit(2);
        enter(SANDBOX);
        int pod = open_netlink(NETLINK_ROUTE);
        leave();
        int failed = play(bytes, size, node, filter, pod);
        close(pod);
        close(SANDBOX);
        close(namespace);
        took[round] = now_ns() - began;
        int undone = play(undo, undo_size, node, filter, -1);
        error = failed ? failed : undone ? undone : error;
    }
    qsort(took, (size_t)rounds, sizeof took[0], compare);
    char text[64];
    snprintf(text, sizeof text, "replay:%s", strerror(error));
    for (char *at = text; *at; at++)
        if (*at == ' ')
            *at = '_';
    printf("%lld %s\n", (long long)took[rounds / 2], error ? text : "-");
    close(node);
    close(filter);
}

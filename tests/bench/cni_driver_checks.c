/* What a call must have done by the time it returns, looked at from outside. */
#define _GNU_SOURCE
#include "cni_driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7777, WAIT_MS = 1000, OUTPUT_BYTES = 16384 };

static int home = -1;
static int node_socket[2];

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void demand(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(2);
    }
}

static void fault(char *faults, const char *what, const struct sandbox *sandbox)
{
    size_t used = strlen(faults);
    if (used < FAULT_BYTES - 200)
        snprintf(faults + used, FAULT_BYTES - used, "p%d:%.150s;", sandbox->number, what);
}

static socklen_t parse(const char *text, union address *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(PORT);
        return sizeof address->v4;
    }
    demand(inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1, text);
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(PORT);
    return sizeof address->v6;
}

static void open_sockets(int pair[2])
{
    int one = 1;
    for (int six = 0; six < 2; six++) {
        union address any;
        socklen_t size = parse(six ? "::" : "0.0.0.0", &any);
        pair[six] = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        demand(pair[six] >= 0, "socket");
        if (six)
            demand(setsockopt(pair[1], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0, "v6only");
        demand(bind(pair[six], &any.any, size) == 0, "bind");
    }
}

void open_node(void)
{
    home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    demand(home >= 0, "open home");
    open_sockets(node_socket);
    /* Three descriptors for each sandbox. */
    struct rlimit limit;
    demand(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    demand(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

int open_namespace(int number)
{
    char path[64];
    snprintf(path, sizeof path, "/run/netns/p%d", number);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    demand(namespace >= 0, path);
    return namespace;
}

void enter(int namespace)
{
    demand(setns(namespace, CLONE_NEWNET) == 0, "setns");
}

void leave(void)
{
    enter(home);
}

void open_sandbox(struct sandbox *sandbox, int number)
{
    if (sandbox->opened)
        return;
    sandbox->opened = 1;
    sandbox->number = number;
    sandbox->output = memfd_create("output", MFD_CLOEXEC);
    demand(sandbox->output >= 0, "memfd");
    int namespace = open_namespace(number);
    enter(namespace);
    open_sockets(sandbox->socket);
    leave();
    close(namespace);
}

void close_sandbox(struct sandbox *sandbox)
{
    sandbox->opened = 0;
    close(sandbox->output);
    close(sandbox->socket[0]);
    close(sandbox->socket[1]);
}

/* Copy the value of the first "key":"value" behind `from`, to its end or to a slash. */
static const char *value_of(const char *from, const char *key, char *value, size_t size)
{
    const char *at = from ? strstr(from, key) : NULL;
    value[0] = 0;
    if (!at)
        return NULL;
    at = strchr(at + strlen(key), '"');
    if (!at)
        return NULL;
    size_t length = strcspn(++at, "/\"");
    if (length < size) {
        memcpy(value, at, length);
        value[length] = 0;
    }
    return at + length;
}

/* Send one datagram and wait for it: NULL, or what went wrong. */
static const char *send_one(int from, int to, const union address *target, socklen_t size)
{
    char byte = 0;
    while (recv(to, &byte, 1, 0) >= 0)
        continue;
    if (sendto(from, &byte, 1, 0, &target->any, size) != 1)
        return strerror(errno);
    struct pollfd ready = {.fd = to, .events = POLLIN};
    return poll(&ready, 1, WAIT_MS) == 1 && recv(to, &byte, 1, 0) == 1 ? NULL : "lost";
}

static void arrives(int from, int to, const char *target, const struct sandbox *sandbox, char *faults)
{
    union address address;
    char text[200];
    socklen_t size = parse(target, &address);
    const char *problem = send_one(from, to, &address, size);
    if (problem) {
        snprintf(text, sizeof text, "first packet to %.64s: %.64s", target, problem);
        fault(faults, text, sandbox);
    }
}

void check_added(const struct plugin *plugin, struct sandbox *sandbox, char *faults)
{
    char output[OUTPUT_BYTES], text[ADDRESS_CHARS];
    ssize_t size = pread(sandbox->output, output, sizeof output - 1, 0);
    output[size > 0 ? size : 0] = 0;
    sandbox->address[0][0] = sandbox->address[1][0] = 0;
    if (sandbox->status != 0) {
        for (char *at = output; *at; at++)
            if (*at == '\n')
                *at = ' ';
        fault(faults, output[0] ? output : "ADD failed", sandbox);
        return;
    }
    value_of(strstr(output, "\"interfaces\""), "\"name\"", sandbox->host_link,
             sizeof sandbox->host_link);
    const char *at = output;
    while ((at = value_of(at, "\"address\"", text, sizeof text))) {
        int six = strchr(text, ':') != NULL;
        strcpy(sandbox->address[six], text);
        arrives(node_socket[six], sandbox->socket[six], text, sandbox, faults);
        arrives(sandbox->socket[six], node_socket[six], six ? plugin->source6 : plugin->source4,
                sandbox, faults);
    }
    if (!sandbox->address[0][0])
        fault(faults, "no address in the result", sandbox);
}

static int has_link(int descriptor, const char *name)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", name);
    return ioctl(descriptor, SIOCGIFINDEX, &request) == 0;
}

/* Whether the network namespace we are in has a route, or the address itself. */
static int is_reachable(const char *text)
{
    union address target;
    socklen_t size = parse(text, &target);
    int descriptor = socket(target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    demand(descriptor >= 0, "socket");
    int found = connect(descriptor, &target.any, size) == 0;
    close(descriptor);
    return found;
}

void check_deleted(struct sandbox *sandbox, char *faults)
{
    if (sandbox->status != 0)
        fault(faults, "DEL failed", sandbox);
    if (has_link(node_socket[0], sandbox->host_link))
        fault(faults, "the node's link is still there", sandbox);
    if (has_link(sandbox->socket[0], "eth0"))
        fault(faults, "the pod's link is still there", sandbox);
    int namespace = open_namespace(sandbox->number);
    for (int six = 0; six < 2; six++) {
        if (!sandbox->address[six][0])
            continue;
        if (is_reachable(sandbox->address[six]))
            fault(faults, "the node's route is still there", sandbox);
        enter(namespace);
        if (is_reachable(sandbox->address[six]))
            fault(faults, "the pod's address is still there", sandbox);
        leave();
    }
    close(namespace);
}

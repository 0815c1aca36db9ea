/*
 * Round trips and throughput between two network namespaces, whatever lies between them.
 *   rtt CLIENT SERVER ADDRESS ROUNDS            -> median nanoseconds of one UDP round trip of 64 bytes
 *   stream CLIENT SERVER ADDRESS MILLISECONDS   -> bytes per second that a TCP receiver got
 * CLIENT and SERVER are paths of namespaces, ADDRESS is the server's. For round trips both ends share
 * one processor, so that what is measured is the path and not the wake-up of an idle one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7778, BYTES = 64, WARM_UP = 200, TIMEOUT_S = 2, CHUNK = 128 * 1024 };

static void demand(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(2);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static socklen_t parse(const char *text, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(PORT);
        return sizeof *four;
    }
    demand(inet_pton(AF_INET6, text, &six->sin6_addr) == 1, text);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(PORT);
    return sizeof *six;
}

/* A socket stays in the namespace it was made in. */
static int socket_in(const char *path, int family, int kind)
{
    int namespace = open(path, O_RDONLY | O_CLOEXEC), one = 1;
    struct timeval timeout = {TIMEOUT_S, 0};
    demand(namespace >= 0 && setns(namespace, CLONE_NEWNET) == 0, path);
    int made = socket(family, kind | SOCK_CLOEXEC, 0);
    demand(made >= 0, "socket");
    demand(setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0, "SO_REUSEADDR");
    demand(setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0, "SO_RCVTIMEO");
    close(namespace);
    return made;
}

static void pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* Before what else runs on the machine, where that is allowed: the same for every path. */
static void hurry(int real_time)
{
    struct sched_param urgent = {.sched_priority = 10};
    if (real_time)
        (void)sched_setscheduler(0, SCHED_FIFO, &urgent);
    else
        (void)setpriority(PRIO_PROCESS, 0, -20);
}

static int compare(const void *one, const void *two)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)two;
    return (a > b) - (a < b);
}

static void echo(int server)
{
    char bytes[BYTES];
    struct sockaddr_storage peer;
    for (;;) {
        socklen_t size = sizeof peer;
        ssize_t got = recvfrom(server, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &size);
        if (got > 0)
            (void)sendto(server, bytes, (size_t)got, 0, (struct sockaddr *)&peer, size);
    }
}

static void rtt(int client, long rounds)
{
    int64_t *took = calloc((size_t)rounds, sizeof *took);
    char bytes[BYTES] = {0};
    demand(took != NULL, "calloc");
    for (long round = -WARM_UP; round < rounds; round++) {
        int64_t began = now_ns();
        demand(send(client, bytes, sizeof bytes, 0) == BYTES, "send");
        demand(recv(client, bytes, sizeof bytes, 0) == BYTES, "recv");
        if (round >= 0)
            took[round] = now_ns() - began;
    }
    qsort(took, (size_t)rounds, sizeof *took, compare);
    printf("%lld\n", (long long)took[rounds / 2]);
}

static void drain(int listener, int report)
{
    static char bytes[CHUNK];
    int connection = accept(listener, NULL, NULL);
    demand(connection >= 0, "accept");
    int64_t total = 0, began = now_ns();
    ssize_t got;
    while ((got = recv(connection, bytes, sizeof bytes, 0)) > 0)
        total += got;
    int64_t rate = (int64_t)((double)total * 1e9 / (double)(now_ns() - began));
    demand(write(report, &rate, sizeof rate) == sizeof rate, "write");
}

static void stream(int client, long milliseconds)
{
    static char bytes[CHUNK];
    int64_t until = now_ns() + (int64_t)milliseconds * 1000000;
    while (now_ns() < until)
        demand(send(client, bytes, sizeof bytes, 0) > 0, "send");
    close(client);
}

int main(int count, char **words)
{
    demand(count == 6, "usage: rtt|stream CLIENT SERVER ADDRESS AMOUNT");
    int streams = strcmp(words[1], "stream") == 0, report[2];
    struct sockaddr_storage address;
    socklen_t size = parse(words[4], &address);
    int kind = streams ? SOCK_STREAM : SOCK_DGRAM;
    int server = socket_in(words[3], address.ss_family, kind);
    demand(bind(server, (struct sockaddr *)&address, size) == 0, "bind");
    demand(!streams || listen(server, 1) == 0, "listen");
    demand(pipe2(report, O_CLOEXEC) == 0, "pipe");
    pin(0);
    /* Not real time for streams: the kernel's own threads must get their turn. */
    hurry(!streams);
    pid_t child = fork();
    demand(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!streams)
            echo(server);
        pin(1);
        drain(server, report[1]);
        return 0;
    }
    int client = socket_in(words[2], address.ss_family, kind);
    demand(connect(client, (struct sockaddr *)&address, size) == 0, "connect");
    long amount = strtol(words[5], NULL, 10);
    if (streams) {
        int64_t rate = 0;
        stream(client, amount);
        demand(read(report[0], &rate, sizeof rate) == sizeof rate, "read");
        printf("%lld\n", (long long)rate);
    } else {
        rtt(client, amount);
        kill(child, SIGKILL);
    }
    waitpid(child, NULL, 0);
    return 0;
}

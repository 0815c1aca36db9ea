/*
 * Included before every source of the shim: its system calls go to a world made of bytes
 * (world.c), its limits are small enough to be reached, and nothing in it is private.
 */
#ifndef PODROUTE_FUZZ_WORLD_H
#define PODROUTE_FUZZ_WORLD_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int shim_main(void);

extern char **world_environ;
char *world_getenv(const char *name);
void *world_malloc(size_t size);
void *world_realloc(void *old, size_t size);
void world_free(void *pointer);
ssize_t world_read(int fd, void *bytes, size_t size);
ssize_t world_write(int fd, const void *bytes, size_t size);
int world_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int world_socket(int family, int type, int protocol);
int world_connect(int fd, const struct sockaddr *address, socklen_t size);
ssize_t world_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t world_recv(int fd, void *bytes, size_t size, int flags);
int world_open(const char *path, int flags, ...);
int world_openat(int directory, const char *path, int flags, ...);
int world_close(int fd);
int world_mkdir(const char *path, mode_t mode);
int world_renameat(int from, const char *old, int to, const char *name);
int world_unlinkat(int directory, const char *path, int flags);
int world_clock_gettime(clockid_t clock, struct timespec *now);
int world_nanosleep(const struct timespec *time, struct timespec *left);
int world_isatty(int fd);

#ifndef WORLD_ITSELF
#undef MAX_ENVIRONMENT_BYTES
#define MAX_ENVIRONMENT_BYTES 2048
#undef MAX_STDIN_BYTES
#define MAX_STDIN_BYTES 4096
#undef MAX_REPLY_BYTES
#define MAX_REPLY_BYTES 4096
#define main shim_main
#define environ world_environ
#define getenv world_getenv
#define malloc world_malloc
#define realloc world_realloc
#define free world_free
#define read world_read
#define write world_write
#define poll(...) world_poll(__VA_ARGS__)
#define socket(...) world_socket(__VA_ARGS__)
#define connect world_connect
#define sendmsg world_sendmsg
#define recv world_recv
#define open world_open
#define openat world_openat
#define close world_close
#define mkdir world_mkdir
#define renameat world_renameat
#define unlinkat world_unlinkat
#define clock_gettime world_clock_gettime
#define nanosleep world_nanosleep
#define isatty world_isatty
/* So that the fuzzer can reset what a new process would find empty. */
#define static
#endif
#endif

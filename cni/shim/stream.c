/* Clock and byte streams: every loop copes with short counts, EINTR and non-blocking ends. */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(int64_t milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

/* Write everything, whatever the descriptor is: 0, or -1 with errno. */
int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN) {
                struct pollfd ready = {.fd = fd, .events = POLLOUT};
                if (poll(&ready, 1, -1) < 0 && errno != EINTR)
                    return -1;
                continue;
            }
            return -1;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

/*
 * Read standard input to its end, or to `limit` + 1 bytes: 0, or -1 with errno. `wait_ms` bounds
 * the wait for a writer that never closes its end (ETIMEDOUT; what came so far is kept).
 */
int read_input(struct buffer *input, size_t limit, int64_t wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    size_t room = 0;
    while (input->size <= limit) {
        if (room == input->size) {
            room = room ? room * 2 : 16384;
            char *larger = realloc(input->bytes, room);
            if (!larger)
                return -1;
            input->bytes = larger;
        }
        int64_t left = until - now_ms();
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        int found = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (found < 0 && errno == EINTR)
            continue;
        if (found == 0)
            errno = ETIMEDOUT;
        if (found <= 0)
            return -1;
        ssize_t got = read(STDIN_FILENO, input->bytes + input->size, room - input->size);
        if (got < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return -1;
        }
        if (got == 0)
            return 0;
        input->size += (size_t)got;
    }
    return 0;
}

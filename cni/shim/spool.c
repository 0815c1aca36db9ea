/* Requests kept for a server that is not there: whole files only, by rename. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_spool(void)
{
    if ((mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST) || (mkdir(SPOOL_DIR, 0700) < 0 && errno != EEXIST))
        return -1;
    return open(SPOOL_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Leave the request for the server's next start. 0, or -1 with errno. */
int spool(const struct buffer *request)
{
    int directory = open_spool();
    if (directory < 0)
        return -1;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char name[64], temporary[72];
    snprintf(name, sizeof name, "%012lld.%09ld.%d", (long long)now.tv_sec, now.tv_nsec, (int)getpid());
    snprintf(temporary, sizeof temporary, ".%s", name);
    int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = -1;
    if (fd >= 0) {
        result = write_all(fd, request->bytes, request->size);
        if (close(fd) < 0)
            result = -1;
        if (result == 0)
            result = renameat(directory, temporary, directory, name);
        int reason = errno;
        if (result < 0)
            unlinkat(directory, temporary, 0);
        errno = reason;
    }
    int reason = errno;
    close(directory);
    errno = reason;
    return result;
}

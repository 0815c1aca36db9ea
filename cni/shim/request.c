/* The request to the server, and the little that the shim looks at in it. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 12 };

/*
 * Find the text of "cniVersion" without a JSON parser: the answers given here must carry the
 * version of the request. Only digits and dots are taken, at most 15 of them.
 */
void find_version(const struct buffer *input, char version[VERSION_CHARS])
{
    static const char key[] = "\"cniVersion\"";
    const char *end = input->bytes + input->size;
    const char *at = input->size ? memmem(input->bytes, input->size, key, sizeof key - 1) : NULL;
    if (!at)
        return;
    at += sizeof key - 1;
    int colons = 0, quotes = 0;
    while (at < end && !quotes && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'
                                   || (*at == ':' && !colons) || (*at == '"' && colons))) {
        colons += *at == ':';
        quotes += *at == '"';
        at++;
    }
    if (!quotes)
        return;
    char found[VERSION_CHARS] = "";
    size_t length = 0;
    while (at < end && length < sizeof found - 1 && (*at == '.' || (*at >= '0' && *at <= '9')))
        found[length++] = *at++;
    if (length > 0 && at < end && *at == '"')
        memcpy(version, found, length + 1);
}

static void put_u32le(char *at, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++)
        at[byte] = (char)(value >> (8 * byte) & 0xff);
}

/* The magic of who is called: the program's name says it, as the runtime or a plugin executes it. */
static const char *magic(void)
{
    return strcmp(program_invocation_short_name, IPAM_NAME) == 0 ? IPAM_MAGIC : PLUGIN_MAGIC;
}

/* Build the request. `command`, if given, replaces the value of CNI_COMMAND. */
int build_request(struct buffer *request, const struct buffer *input, const char *command)
{
    size_t environment = 0;
    for (char **item = environ; item && *item; item++)
        if (strncmp(*item, "CNI_", 4) == 0 && strchr(*item, '='))
            environment += strlen(*item) + 1 + (command ? strlen(command) : 0);
    if (environment > MAX_ENVIRONMENT_BYTES) {
        errno = E2BIG;
        return -1;
    }
    request->bytes = malloc(HEADER_BYTES + environment + input->size);
    if (!request->bytes)
        return -1;
    char *at = request->bytes + HEADER_BYTES;
    for (char **item = environ; item && *item; item++) {
        if (strncmp(*item, "CNI_", 4) != 0 || !strchr(*item, '='))
            continue;
        if (command && strncmp(*item, "CNI_COMMAND=", 12) == 0) {
            memcpy(at, *item, 12);
            memcpy(at + 12, command, strlen(command) + 1);
            at += 12 + strlen(command) + 1;
            continue;
        }
        size_t length = strlen(*item) + 1;
        memcpy(at, *item, length);
        at += length;
    }
    memcpy(request->bytes, magic(), 4);
    put_u32le(request->bytes + 4, (uint32_t)(at - request->bytes - HEADER_BYTES));
    put_u32le(request->bytes + 8, (uint32_t)input->size);
    if (input->size)
        memcpy(at, input->bytes, input->size);
    request->size = (size_t)(at - request->bytes) + input->size;
    return 0;
}

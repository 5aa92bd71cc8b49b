/* The file of _group_append.c: groups of records are written to its end, all or none. */

#include <errno.h>
#include <fcntl.h>
#include <pythread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that is waited for lies on the stack of its thread, the others are allocated. */
typedef struct Record {
    struct Record *next;
    const char *bytes;
    size_t length;
    PyThread_type_lock turn; /* of who waits: is let go of when the record is done */
    int error;
    PyObject *held, *told; /* of who does not wait: the object that has the bytes, and what is called */
    double since;
} Record;

/* `end` is where its records end, `prepared` how many bytes it is kept long, `gathered` room for those of a group. */
typedef struct {
    int descriptor;
    char *path;
    unsigned long long number;
    off_t end, prepared;
    char *gathered;
    size_t room;
} File;

/* A file that was deleted can be written to without an error as long as it is open. Only its number is asked for: who
   asks for its times makes the next write note one, which takes a transaction in some file systems. */
static int check_place(const File *file)
{
#ifdef STATX_INO
    struct statx found;
    if (statx(AT_FDCWD, file->path, 0, STATX_INO, &found) < 0)
        return errno;
    return found.stx_ino == file->number ? 0 : ENOENT;
#else
    struct stat found;
    if (stat(file->path, &found) < 0)
        return errno;
    return found.st_ino == file->number ? 0 : ENOENT;
#endif
}

static int write_at(int descriptor, const char *bytes, size_t length, off_t place)
{
    while (length > 0) {
        ssize_t written = pwrite(descriptor, bytes, length, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        bytes += written;
        length -= (size_t)written;
        place += written;
    }
#ifndef O_DSYNC
    if (fsync(descriptor) < 0)
        return errno;
#endif
    return 0;
}

/* What a failed write may have left; nobody is told that it is kept, so it must not be found later. */
static void forget(const File *file, size_t length)
{
    char *zeros;
    if (file->end + (off_t)length > file->prepared) {
        if (ftruncate(file->descriptor, file->end) == 0)
            return;
    } else if ((zeros = calloc(length, 1)) != NULL) {
        write_at(file->descriptor, zeros, length, file->end);
        free(zeros);
    }
}

/* Bytes of a group one after the other; those of a record that is alone stay where they are. NULL without memory. */
static const char *gather(File *file, const Record *group, size_t *length)
{
    *length = 0;
    for (const Record *each = group; each != NULL; each = each->next)
        *length += each->length;
    if (group->next == NULL || *length == 0)
        return group->bytes;
    if (*length > file->room) {
        char *larger = realloc(file->gathered, *length);
        if (larger == NULL)
            return NULL;
        file->gathered = larger;
        file->room = *length;
    }
    size_t place = 0;
    for (const Record *each = group; each != NULL; place += each->length, each = each->next)
        memcpy(file->gathered + place, each->bytes, each->length);
    return file->gathered;
}

static int write_group(File *file, const Record *group)
{
    size_t length;
    const char *bytes = gather(file, group, &length);
    if (bytes == NULL)
        return ENOMEM;
    int error = check_place(file);
    if (error == 0)
        error = write_at(file->descriptor, bytes, length, file->end);
    if (error == 0)
        file->end += (off_t)length;
    else
        forget(file, length);
    return error;
}

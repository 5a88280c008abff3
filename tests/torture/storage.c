/* An LD_PRELOAD shim between a process and its storage, for one folder and what is below it.

   It writes down each operation that changes the folder, with its payload and in the order in
   which they happened (STORAGE_LOG), and it lets operations fail when told to (storage_fail).
   What is done through a mapping of the file is not seen: of SQLite that is the -shm file alone,
   which is left out of the log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, ENTRY = 16 };
enum { NOT_OURS, LOGGED, UNLOGGED };
enum { MOST_DESCRIPTORS = 4096, SHORT_WRITE = -1 };

struct record {
    uint32_t kind;
    uint32_t length;
    uint64_t inode;
    uint64_t at;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char whose[MOST_DESCRIPTORS];
static ino_t inodes[MOST_DESCRIPTORS];
static char folder[PATH_MAX];
static size_t folder_length;
static int log_descriptor = -1;
static uint64_t syncs;

static int failing_classes, failing_error, failing_on;
static long failing_skip, failed, seen[ENTRY + 1];

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void)
{
    const char *given = getenv("STORAGE_FOLDER"), *log = getenv("STORAGE_LOG");
    if (given == NULL || realpath(given, folder) == NULL)
        return;
    folder_length = strlen(folder);
    if (log != NULL)
        log_descriptor = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(const char *path)
{
    return folder_length > 0 && strncmp(path, folder, folder_length) == 0 &&
           path[folder_length] == '/';
}

static int is_shared_memory(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, "-shm") == 0;
}

static void note(char kind, ino_t inode, uint64_t at, const void *payload, size_t length)
{
    struct record record = {(uint32_t)kind, (uint32_t)length, inode, at};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)payload, length}};
    if (log_descriptor < 0)
        return;
    if (REAL(writev)(log_descriptor, parts, 2) != (ssize_t)(sizeof record + length))
        abort();
}

static void note_path(char kind, ino_t inode, const char *path)
{
    if (!is_shared_memory(path))
        note(kind, inode, 0, path + folder_length + 1, strlen(path) - folder_length - 1);
}

/* Tell whether this operation is one that is to fail, and set errno; the mutex is held. */
static int fails(int class)
{
    seen[class]++;
    if (!(failing_classes & class) || failing_skip-- > 0)
        return 0;
    failed++;
    errno = failing_error;
    if (!failing_on)
        failing_classes = 0;
    return 1;
}

/* Say something in the log, between the operations. */
void storage_mark(const char *text)
{
    pthread_mutex_lock(&mutex);
    note('M', 0, 0, text, strlen(text));
    pthread_mutex_unlock(&mutex);
}

/* Let the operation of these classes that comes after `skip` others fail, and all after it if
   `on`; no classes end it. A short write takes half of what it is given; with `on`, the disk is
   full after it. */
void storage_fail(int classes, long skip, int error, int on)
{
    pthread_mutex_lock(&mutex);
    failing_classes = classes;
    failing_skip = skip;
    failing_error = error;
    failing_on = on;
    pthread_mutex_unlock(&mutex);
}

/* Return how many operations have failed. */
long storage_failed(void)
{
    pthread_mutex_lock(&mutex);
    long result = failed;
    pthread_mutex_unlock(&mutex);
    return result;
}

/* Return how many operations of a class there have been. */
long storage_seen(int class)
{
    return seen[class];
}

static int opened(const char *path, int flags, mode_t mode)
{
    struct stat status;
    if (!is_ours(path))
        return REAL(open64)(path, flags, mode);
    pthread_mutex_lock(&mutex);
    int descriptor = -1;
    if (!fails(OPEN)) {
        int new = (flags & O_CREAT) && lstat(path, &status) != 0;
        descriptor = REAL(open64)(path, flags, mode);
        if (descriptor >= MOST_DESCRIPTORS)
            abort();
        if (descriptor >= 0 && fstat(descriptor, &status) == 0) {
            whose[descriptor] = is_shared_memory(path) ? UNLOGGED : LOGGED;
            inodes[descriptor] = status.st_ino;
            note_path(S_ISDIR(status.st_mode) ? 'D' : new ? 'C' : 'O', status.st_ino, path);
            if ((flags & O_TRUNC) && !new && whose[descriptor] == LOGGED)
                note('T', status.st_ino, 0, "", 0);
        }
    }
    pthread_mutex_unlock(&mutex);
    return descriptor;
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

static int whose_is(int descriptor)
{
    return descriptor >= 0 && descriptor < MOST_DESCRIPTORS ? whose[descriptor] : NOT_OURS;
}

int close(int descriptor)
{
    if (whose_is(descriptor) != NOT_OURS)
        whose[descriptor] = NOT_OURS;
    return REAL(close)(descriptor);
}

static ssize_t written(int descriptor, const void *data, size_t length, off64_t at, int placed)
{
    ssize_t done = -1;
    pthread_mutex_lock(&mutex);
    if (fails(WRITE)) {
        if (errno != SHORT_WRITE)
            goto end;
        if (failing_on)
            failing_error = ENOSPC;
        length = length > 1 ? length / 2 : length;
    }
    if (!placed)
        at = fcntl(descriptor, F_GETFL) & O_APPEND ? lseek64(descriptor, 0, SEEK_END)
                                                   : lseek64(descriptor, 0, SEEK_CUR);
    done = placed ? REAL(pwrite64)(descriptor, data, length, at)
                  : REAL(write)(descriptor, data, length);
    if (done > 0 && whose[descriptor] == LOGGED)
        note('W', inodes[descriptor], (uint64_t)at, data, (size_t)done);
end:
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t write(int descriptor, const void *data, size_t length)
{
    return whose_is(descriptor) ? written(descriptor, data, length, 0, 0)
                                : REAL(write)(descriptor, data, length);
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t at)
{
    return whose_is(descriptor) ? written(descriptor, data, length, at, 1)
                                : REAL(pwrite64)(descriptor, data, length, at);
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t at)
{
    return pwrite64(descriptor, data, length, at);
}

int ftruncate64(int descriptor, off64_t length)
{
    if (!whose_is(descriptor))
        return REAL(ftruncate64)(descriptor, length);
    pthread_mutex_lock(&mutex);
    int result = fails(TRUNCATE) ? -1 : REAL(ftruncate64)(descriptor, length);
    if (result == 0 && whose[descriptor] == LOGGED)
        note('T', inodes[descriptor], (uint64_t)length, "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

/* A write during a sync is not covered by it: both its ends are noted. It takes a moment, as on a
   disk, so that others come meanwhile. */
static int synced(int (*call)(int), int descriptor)
{
    if (!whose_is(descriptor))
        return call(descriptor);
    pthread_mutex_lock(&mutex);
    uint64_t number = syncs++;
    ino_t inode = inodes[descriptor];
    int logged = whose[descriptor] == LOGGED;
    if (logged)
        note('B', inode, number, "", 0);
    int to_fail = fails(SYNC), error = errno;
    pthread_mutex_unlock(&mutex);
    usleep(200);
    int result = to_fail ? -1 : call(descriptor);
    if (!to_fail)
        error = errno;
    pthread_mutex_lock(&mutex);
    if (logged)
        note(result == 0 ? 'E' : 'F', inode, number, "", 0);
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

int fsync(int descriptor) { return synced(REAL(fsync), descriptor); }

int fdatasync(int descriptor) { return synced(REAL(fdatasync), descriptor); }

int unlink(const char *path)
{
    if (!is_ours(path))
        return REAL(unlink)(path);
    pthread_mutex_lock(&mutex);
    int result = fails(ENTRY) ? -1 : REAL(unlink)(path);
    if (result == 0)
        note_path('U', 0, path);
    pthread_mutex_unlock(&mutex);
    return result;
}

static int moved(char kind, int (*call)(const char *, const char *), const char *from,
                 const char *to)
{
    char both[2 * PATH_MAX];
    if (!is_ours(from) || !is_ours(to))
        return call(from, to);
    pthread_mutex_lock(&mutex);
    int result = fails(ENTRY) ? -1 : call(from, to);
    if (result == 0) {
        int length = snprintf(both, sizeof both, "%s\n%s", from + folder_length + 1,
                              to + folder_length + 1);
        note(kind, 0, 0, both, (size_t)length);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int link(const char *from, const char *to) { return moved('L', REAL(link), from, to); }

int rename(const char *from, const char *to) { return moved('R', REAL(rename), from, to); }

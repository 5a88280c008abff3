/* An LD_PRELOAD shim that makes the storage as slow as an SD card: each sync takes 10 ms longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

typedef int (*sync_call)(int);

static int slowed(const char *name, int descriptor)
{
    const struct timespec ten_milliseconds = {0, 10 * 1000 * 1000};
    nanosleep(&ten_milliseconds, NULL);
    return ((sync_call)dlsym(RTLD_NEXT, name))(descriptor);
}

int fsync(int descriptor) { return slowed("fsync", descriptor); }

int fdatasync(int descriptor) { return slowed("fdatasync", descriptor); }
